"""Shares of experiments follow judgements."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from gyre_inference.domain.experiments import Experiment
from gyre_inference.ports import Experiments


class Weigher:
    """Runs in every process; of those that come to new shares at once the first one keeps them."""

    def __init__(
        self,
        experiments: Experiments,
        changed: Callable[[], Awaitable[None]],
        *,
        pause: float = 30.0,
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """pause: seconds for which shares stay, at least. failed: is told why they were not looked
        at; the next round comes."""
        self._experiments = experiments
        self._changed = changed
        self._pause = pause
        self._failed = failed

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self.look()
            except Exception as error:  # e.g. the database is away
                self._failed(error)
            await asyncio.sleep(self._pause)

    async def look(self) -> None:
        """One round. Raises a `Fault`."""
        now = datetime.now(UTC)
        moved = [
            await self._weigh(tenant, experiment, now)
            for tenant, experiment in await self._experiments.adaptive()
            if self._is_due(experiment, now)
        ]
        if any(moved):
            await self._changed()

    async def _weigh(self, tenant: str, experiment: Experiment, now: datetime) -> bool:
        sums = await self._experiments.sums(tenant, experiment.experiment_id)
        weighing = await asyncio.to_thread(experiment.reweighted, sums, now)
        if weighing is None:
            return False
        return await self._experiments.reweigh(tenant, experiment.experiment_id, weighing)

    def _is_due(self, experiment: Experiment, now: datetime) -> bool:
        last = experiment.weighing
        return last is None or now - last.time >= timedelta(seconds=self._pause)
