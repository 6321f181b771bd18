"""Once a day each tenant's slices are compared: is a group of people served worse?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from gyre_evaluation.domain.alerts import Alert, AlertKind, Severity
from gyre_evaluation.domain.bias import BiasRules, Disparity, disparities
from gyre_evaluation.domain.windows import GroupKind, merged, window_start
from gyre_evaluation.ports import LiveStore
from gyre_evaluation.use_cases.live import LivePolicy

MOST_ALERTS = 10
GRACE = timedelta(hours=1)
"""Answers that end after their day still count in it."""


class CheckDisparities:
    """A day is compared once, when it is over."""

    def __init__(
        self,
        store: LiveStore,
        policy: LivePolicy,
        rules: BiasRules | None = None,
        period: timedelta = timedelta(days=1),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._policy = policy
        self._rules = rules or BiasRules()
        self._period = period
        self._clock = clock

    async def run(self, pause: float) -> None:
        """Until it is cancelled. pause: seconds between two looks."""
        while True:
            await self.step()
            await asyncio.sleep(pause)

    async def step(self) -> list[Disparity]:
        """Compares the last period that is over; returns what was found."""
        end = window_start(self._clock() - GRACE, int(self._period.total_seconds()))
        start = end - self._period
        found: list[Disparity] = []
        for tenant in await self._store.tenants(start):
            found += await self._compare(tenant, start, end)
        return found

    async def _compare(self, tenant: str, start: datetime, end: datetime) -> list[Disparity]:
        sums = merged(await self._store.windows(tenant, (start, end), GroupKind.SLICE))
        found = disparities(sums, self._rules)
        async with self._store.writing() as page:
            if not await page.disparity_checked(tenant, start):
                return []
            for one in found[:MOST_ALERTS]:
                await page.raise_alert(_alert(tenant, end, one), self._policy.cool_down)
        return found


def _alert(tenant: str, time: datetime, found: Disparity) -> Alert:
    return Alert(
        tenant=tenant,
        kind=AlertKind.DISPARITY,
        severity=Severity.WARNING,
        raise_time=time,
        detail=f"{found.metric} is {found.mean:.3g} for {found.slice} ({found.count} answers) and "
        f"{found.rest_mean:.3g} for the rest ({found.rest_count}); the gap is within "
        f"{found.low:.3g} to {found.high:.3g}, p = {found.p_value:.1g}",
        metric=found.metric,
        slice=found.slice,
    )
