"""Each window of live scores, when it is over, is held against the limits that were set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from gyre_evaluation.domain.alerts import Alert, AlertKind, Severity
from gyre_evaluation.domain.quality import Crossing, crossings
from gyre_evaluation.domain.windows import GroupKind, merged, window_start
from gyre_evaluation.ports import LiveStore
from gyre_evaluation.use_cases.live import LivePolicy

GRACE = timedelta(minutes=10)
"""Answers that are scored after their window still count in it."""


class CheckQuality:
    """Looking again changes nothing: an alert of a window is derived from it."""

    def __init__(
        self,
        store: LiveStore,
        policy: LivePolicy,
        limits: Mapping[str, float],
        less_is_better: frozenset[str],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._policy = policy
        self._limits = limits
        self._less_is_better = less_is_better
        self._clock = clock

    async def run(self, pause: float) -> None:
        """Until it is cancelled. pause: seconds between two looks."""
        while self._limits:
            await self.step()
            await asyncio.sleep(pause)

    async def step(self) -> list[Crossing]:
        """Of the last window that is over, of all tenants."""
        window = self._policy.window
        end = window_start(self._clock() - GRACE, int(window.total_seconds()))
        found: list[Crossing] = []
        for tenant in await self._store.tenants(end - window):
            period = end - window, end
            metrics = list(self._limits)
            rows = await self._store.windows(tenant, period, GroupKind.ALL, metrics=metrics)
            crossed = crossings(merged(rows), self._limits, self._less_is_better)
            if crossed:
                await self._raise(tenant, end, crossed)
            found += crossed
        return found

    async def _raise(self, tenant: str, time: datetime, crossed: list[Crossing]) -> None:
        async with self._store.writing() as page:
            for one in crossed:
                await page.raise_alert(_alert(tenant, time, one), self._policy.cool_down)


def _alert(tenant: str, time: datetime, found: Crossing) -> Alert:
    return Alert(
        tenant=tenant,
        kind=AlertKind.QUALITY,
        severity=Severity.WARNING,
        raise_time=time,
        detail=f"{found.metric} is {found.mean:.3g} over {found.count} answers (95 %: "
        f"{found.low:.3g} to {found.high:.3g}); its limit is {found.limit:g}",
        metric=found.metric,
    )
