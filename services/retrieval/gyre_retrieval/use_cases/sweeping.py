"""What left must go: passages of versions that are no longer in force."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable

from gyre_retrieval.ports import Catalogue, Leaving, VectorIndex

BATCH = 200


class Sweeper:
    """Removes what the catalogue says must go; what a crash left undone is found at the next round.

    pause: seconds between rounds when nobody calls. failed: told of an error that a later round
    may get over.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        index: VectorIndex,
        *,
        pause: float,
        failed: Callable[[Exception], None],
    ) -> None:
        self._catalogue = catalogue
        self._index = index
        self._pause = pause
        self._failed = failed
        self._called = asyncio.Event()

    def call(self) -> None:
        self._called.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._called.clear()
            try:
                await self.sweep()
            except Exception as error:
                self._failed(error)
            # Not wait_for: in Python 3.11 it swallows a cancellation that comes with the call.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await self._called.wait()

    async def sweep(self) -> int:
        """One round to the end; returns how many versions went."""
        swept = 0
        while batch := await self._catalogue.leavings(BATCH):
            by_collection: dict[str, list[Leaving]] = defaultdict(list)
            for leaving in batch:
                by_collection[leaving.document.collection].append(leaving)
            for collection, leavings in by_collection.items():
                await self._remove(collection, leavings)
            await self._catalogue.forget(batch)
            swept += len(batch)
        return swept

    async def _remove(self, collection: str, leavings: list[Leaving]) -> None:
        for index in await self._catalogue.indexes(collection):
            await self._index.remove(index, leavings)
