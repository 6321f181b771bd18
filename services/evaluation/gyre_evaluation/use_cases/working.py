"""Runs are worked on: claimed, resumed where another process left them, brought to an end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gyre_evaluation.domain.errors import NotPossible
from gyre_evaluation.domain.examples import Example
from gyre_evaluation.domain.metrics.metric import Metric
from gyre_evaluation.domain.runs import Run, RunState, case_of, fitting
from gyre_evaluation.domain.summaries import costs_of, summaries_of, values_of
from gyre_evaluation.ports import (
    Datasets,
    Runs,
    Scoring,
    ScoringUnavailable,
    Statistics,
    TargetRefused,
    Targets,
    TargetUnavailable,
    Tracker,
)
from gyre_evaluation.use_cases.asking import AskExample
from gyre_evaluation.use_cases.comparing import CompareRuns

MOMENT = 5.0
CANNOT_GO_ON = (TargetUnavailable, TargetRefused, NotPossible, ScoringUnavailable)


@dataclass(frozen=True, slots=True)
class Pace:
    """at_once: runs of this process. concurrency: examples of a run. lease, pause: seconds."""

    at_once: int
    concurrency: int
    lease: float
    pause: float = 2.0


@dataclass(frozen=True, slots=True)
class Bench:
    """What the work is done with."""

    runs: Runs
    datasets: Datasets
    targets: Targets
    scoring: Scoring
    statistics: Statistics
    tracker: Tracker


class WorkOnRuns:
    """owner: names this process. failed: told of what should not happen; the work goes on."""

    def __init__(
        self,
        bench: Bench,
        ask: AskExample,
        comparing: CompareRuns,
        pace: Pace,
        *,
        owner: str,
        failed: Callable[[Exception], None],
    ) -> None:
        self._bench = bench
        self._ask = ask
        self._comparing = comparing
        self._pace = pace
        self._owner = owner
        self._failed = failed
        self._called = asyncio.Event()

    def call(self) -> None:
        """There is a new run."""
        self._called.set()

    async def run(self) -> None:
        """Until cancelled; a run that is left goes on in another process, or after the start."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._pace.at_once):
                group.create_task(self._take_turns())

    async def _take_turns(self) -> None:
        while True:
            self._called.clear()
            try:
                claimed = await self._bench.runs.claim(self._owner, self._pace.lease)
                if claimed is not None:
                    await self._hold(claimed)
                    continue
            except Exception as error:  # the store may be away for a moment
                self._failed(error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pace.pause):
                    await self._called.wait()

    async def _hold(self, run: Run) -> None:
        """Works for as long as the lease is ours."""
        work = asyncio.create_task(self.work(run))
        try:
            while not work.done():
                await asyncio.wait([work], timeout=self._pace.lease / 3)
                if not work.done() and not await self._renewed(run):
                    # Cancelled, another's now, or just ended by us: that takes no more time.
                    await asyncio.wait([work], timeout=MOMENT)
                    break
        finally:
            if not work.done():
                work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        if not work.cancelled() and (ended := work.result()):
            await self._note(ended)

    async def _renewed(self, run: Run) -> bool:
        return await self._bench.runs.renew(run.run_id, self._owner, self._pace.lease)

    async def work(self, run: Run) -> Run | None:
        """From where it stands to its end; None where it has none that is to be noted."""
        try:
            ready = await self._begin(run)
            done = {one.example_id for one in await self._bench.runs.items(run.run_id)}
            examples = await self._examples(ready)
            await self._ask_all(ready, [one for one in examples if one.example_id not in done])
            ended = await self._end(ready, examples)
        except* Exception as group:
            error = _first(group)
            if not isinstance(error, CANNOT_GO_ON):
                self._failed(error)
            await self._fail(run, str(error) or type(error).__name__)
            ended = None
        return ended

    async def _fail(self, run: Run, detail: str) -> None:
        """A run that cannot go on must end: claimed again, it would fail again, for ever."""
        ended = replace(run, state=RunState.FAILED, detail=detail[:1000])
        await self._bench.runs.finish(ended, ())

    async def _begin(self, run: Run) -> Run:
        if run.examples:  # it was begun before: the same target, the same metrics
            return run
        bench = self._bench
        target = await bench.targets.resolve(run.tenant, run.target)
        examples = await self._examples(run)
        metrics = run.metrics or fitting(_rules(bench.scoring.metrics()), examples, target)
        await bench.runs.begin(run.run_id, target, metrics, len(examples))
        return await bench.runs.get(run.tenant, run.run_id)

    async def _examples(self, run: Run) -> list[Example]:
        version = await self._bench.datasets.get(run.tenant, run.dataset, run.dataset_version)
        # Ids are hashes: the first ones are drawn fairly, and the same for every run.
        return await self._bench.datasets.examples(version, split=run.split, limit=run.limit)

    async def _ask_all(self, run: Run, examples: Sequence[Example]) -> None:
        waiting = iter(examples)

        async def take() -> None:
            for example in waiting:
                await self._ask.ask(run, run.metrics, example)

        most = self._pace.concurrency
        async with asyncio.TaskGroup() as group:
            for _ in range(min(run.concurrency or most, most)):
                group.create_task(take())

    async def _end(self, run: Run, examples: Sequence[Example]) -> Run | None:
        bench = self._bench
        items = await bench.runs.items(run.run_id)
        by_id = {one.example_id: one for one in examples}
        answered = [one for one in items if not one.produced.error]
        if items and not answered:
            await self._fail(run, f"no example has an answer: {items[0].produced.error}")
            return None
        kind = run.target.kind
        cases = [case_of(by_id[one.example_id], one.produced, kind) for one in answered]
        together = sum(bool(one.references) for one in cases)
        of_run = await bench.scoring.score_run(run.metrics, cases)
        intervals = await bench.statistics.means(values_of(items))
        current = await bench.runs.get(run.tenant, run.run_id)
        ended = replace(
            current,
            state=RunState.SUCCEEDED,
            summaries=summaries_of(run.metrics, items, intervals, of_run, together),
            costs=costs_of(items),
        )
        differences = []
        if run.baseline_run_id:
            baseline = await bench.runs.get(run.tenant, run.baseline_run_id)
            differences = await self._comparing.differences(baseline, ended)
        await bench.runs.finish(ended, differences)
        return ended

    async def _note(self, run: Run) -> None:
        try:
            report = await self._comparing.report_of(run)
            await self._bench.tracker.track(report, await self._comparing.page(report))
        except Exception as error:  # the run has ended well, whatever the book of experiments says
            self._failed(error)


def _rules(metrics: Sequence[Metric]) -> list[Metric]:
    """What is computed where nobody asked for anything: no judges, they cost money."""
    return [one for one in metrics if not one.rubric]


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """The first error inside, however deep."""
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
