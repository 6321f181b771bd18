"""Each full window of live traffic is compared with its reference; what moved is said once."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime

from gyre_evaluation.domain.alerts import Alert, AlertKind, Severity
from gyre_evaluation.domain.drift.findings import LEVEL, Finding, corrected
from gyre_evaluation.domain.drift.traffic import Check, Observation, Progress
from gyre_evaluation.ports import DriftTests, LiveRecord, LiveStore, ScoringFailed
from gyre_evaluation.use_cases.live import LivePolicy


class CheckDrift:
    """A window is checked once, in order; a crash repeats it, and the check is the same."""

    def __init__(self, store: LiveStore, tests: DriftTests, policy: LivePolicy) -> None:
        self._store = store
        self._tests = tests
        self._policy = policy

    async def run(self, pause: float) -> None:
        """Until it is cancelled. pause: seconds between two looks."""
        while True:
            # The windows stay full and unchecked: the next look finds them.
            with contextlib.suppress(ScoringFailed):
                await self.step()
            await asyncio.sleep(pause)

    async def step(self) -> list[Check]:
        """Checks every window that is full; returns those in which something moved."""
        drifted = []
        for progress in await self._store.progress(None):
            for window in range(progress.checked, self._policy.plan.complete(progress.count)):
                check = await self._check(progress, window)
                if check is not None and check.drifted:
                    drifted.append(check)
        return drifted

    async def _check(self, progress: Progress, window: int) -> Check | None:
        """None where another process was first: the window is forgotten."""
        plan = self._policy.plan
        reference = await self._store.sample(progress, range(plan.reference))
        current = await self._store.sample(progress, plan.numbers_of(window))
        if len(current) < plan.window:
            return None
        tested = corrected(await self._tests.compare(reference, current))
        check = _check(window, current, tested)
        async with self._store.writing() as page:
            if await page.checked(progress, plan, check) and check.drifted:
                await self._say(page, progress, check)
        return check

    async def _say(self, page: LiveRecord, progress: Progress, check: Check) -> None:
        """What moved, without the causes that are quiet."""
        cool_down = self._policy.cool_down
        news = [
            finding
            for finding in check.findings
            if finding.p_value < LEVEL
            and await page.newly(
                progress.traffic.tenant, _cause(progress, finding), check.end, cool_down
            )
        ]
        if news:
            page.say_drifted(progress, self._policy.plan, check, news)
            await page.raise_alert(_alert(progress, check.end, news), cool_down)


def _cause(progress: Progress, finding: Finding) -> str:
    return f"{progress.traffic.scope}/{progress.generation}/{finding.feature}"


def _check(window: int, current: list[Observation], tested: list[Finding]) -> Check:
    times = [one.time for one in current]
    strongest = tuple(sorted(tested, key=lambda one: (one.p_value, one.feature)))
    drifted = any(one.p_value < LEVEL for one in strongest)
    return Check(window, min(times), max(times), drifted, strongest)


def _alert(progress: Progress, time: datetime, news: list[Finding]) -> Alert:
    return Alert(
        tenant=progress.traffic.tenant,
        kind=AlertKind.DRIFT,
        severity=Severity.WARNING,
        raise_time=time,
        detail="; ".join(one.detail for one in news[:3]),
        metric=news[0].feature,
        slice=progress.traffic.scope,
        answer_ids=news[0].examples,
    )
