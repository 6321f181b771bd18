"""Runs of chains that nobody goes on with are forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gyre_inference.ports import ChainRuns

_PAUSE = 600.0


class Sweeper:
    """kept: seconds after the last step. failed: is told why a round failed; the next one comes."""

    def __init__(
        self, runs: ChainRuns, *, kept: float, failed: Callable[[Exception], None]
    ) -> None:
        self._runs = runs
        self._kept = kept
        self._failed = failed

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                while await self._runs.sweep(self._kept):
                    pass
            except Exception as error:  # e.g. the disk is full
                self._failed(error)
            await asyncio.sleep(_PAUSE)
