"""Features go to the feature store as they become known, and come back now or as of a time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence

from gyre_feedback.domain.errors import Invalid
from gyre_feedback.domain.scores import EntityKind
from gyre_feedback.ports import FeatureQuery, FeatureQueue, FeatureRow, FeatureStore

BATCH = 5000
LARGEST_QUESTION = 100
LONGEST_PAUSE = 60.0


class StreamFeatures:
    """From the queue to the feature store, in order; nothing leaves before it is there."""

    def __init__(
        self,
        queue: FeatureQueue,
        store: FeatureStore,
        *,
        pause: float,
        failed: Callable[[Exception], None],
    ) -> None:
        self._queue, self._store = queue, store
        self._pause, self._failed = pause, failed

    async def run(self) -> None:
        """For ever; where the feature store is away, the queue waits for it."""
        pause = self._pause
        while True:
            try:
                while await self.once():
                    pass
                pause = self._pause
            except Exception as error:
                self._failed(error)
                pause = min(2 * pause, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def once(self) -> bool:
        """One batch; whether there may be more."""
        rows, name = await self._queue.waiting(BATCH)
        if not rows:
            return False
        by_kind: dict[EntityKind, list[FeatureRow]] = defaultdict(list)
        for row in rows:
            by_kind[row.entity.kind].append(row)
        for kind, some in by_kind.items():
            await self._store.write(kind, some, name)
        await self._queue.written(name)
        return len(rows) == BATCH


class ReadFeatures:
    """Raises `Invalid` and `FeaturesUnavailable`."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store

    async def read(
        self, kind: EntityKind, queries: Sequence[FeatureQuery]
    ) -> Sequence[FeatureRow | None]:
        """In the order asked for."""
        if not 0 < len(queries) <= LARGEST_QUESTION:
            raise Invalid({"rows": f"must be 1 to {LARGEST_QUESTION}"})
        if len({query.as_of_time is None for query in queries}) > 1:
            raise Invalid({"rows": "must all have an as_of_time, or none"})
        return await self._store.read(kind, queries)
