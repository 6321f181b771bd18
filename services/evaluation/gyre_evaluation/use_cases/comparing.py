"""Runs compared, and reports of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gyre_evaluation.domain.comparison import Difference, verdict
from gyre_evaluation.domain.errors import RequestInvalid, RunsDiffer
from gyre_evaluation.domain.metrics.metric import Direction, Metric
from gyre_evaluation.domain.reports import (
    Told,
    comparison_report_of,
    rating_pairs,
    report_of,
    slice_values,
)
from gyre_evaluation.domain.runs import Run, RunState
from gyre_evaluation.ports import Datasets, ReportPages, Runs, Statistics

MOST_RUNS = 20


@dataclass(frozen=True, slots=True)
class Compared:
    """differences: by run id of the candidates, in their order."""

    runs: Sequence[Run]
    differences: Mapping[str, Sequence[Difference]]


class CompareRuns:
    """least: pairs under which nothing is concluded."""

    def __init__(
        self,
        runs: Runs,
        datasets: Datasets,
        statistics: Statistics,
        pages: ReportPages,
        metrics: Mapping[str, Metric],
        *,
        least: int,
    ) -> None:
        self._runs = runs
        self._datasets = datasets
        self._statistics = statistics
        self._pages = pages
        self._metrics = metrics
        self._least = least

    async def compare(
        self, tenant: str, run_ids: Sequence[str], metrics: Sequence[str] = (), margin: float = 0.0
    ) -> Compared:
        """The first run is the baseline. Raises `RequestInvalid`, `RunUnknown`, `RunsDiffer`."""
        if not 2 <= len(set(run_ids)) <= MOST_RUNS or len(set(run_ids)) != len(run_ids):
            raise RequestInvalid({"run_ids": f"give 2 to {MOST_RUNS} different runs"})
        runs = await self._ended(tenant, run_ids)
        if len({(run.dataset, run.dataset_version) for run in runs}) > 1:
            raise RunsDiffer("the runs are on different datasets or versions of one")
        found = await asyncio.gather(
            *(self.differences(runs[0], one, metrics, margin) for one in runs[1:])
        )
        return Compared(runs, dict(zip(run_ids[1:], found, strict=True)))

    async def differences(
        self, baseline: Run, candidate: Run, metrics: Sequence[str] = (), margin: float = 0.0
    ) -> list[Difference]:
        """Over the examples that both scored."""
        pairs = await self._pairs(baseline, candidate)
        wanted = [name for name in pairs if not metrics or name in metrics]
        intervals = await self._statistics.differences({name: pairs[name] for name in wanted})
        return [self._difference(name, pairs[name], intervals.get(name), margin) for name in wanted]

    async def report(self, tenant: str, run_ids: Sequence[str]) -> dict[str, Any]:
        """Of one run, or of several against the first."""
        if len(run_ids) == 1:
            (run,) = await self._ended(tenant, run_ids)
            return await self.report_of(run)
        compared = await self.compare(tenant, run_ids)
        first = compared.runs[0]
        dataset = await self._datasets.get(tenant, first.dataset, first.dataset_version)
        return comparison_report_of(dataset, compared.runs, compared.differences, self._metrics)

    async def report_of(self, run: Run) -> dict[str, Any]:
        dataset = await self._datasets.get(run.tenant, run.dataset, run.dataset_version)
        examples = await self._datasets.examples(dataset, split=run.split)
        items = await self._runs.items(run.run_id)
        told = Told(run, dataset, examples, items, self._metrics)
        sliced = await self._statistics.means(slice_values(told))
        return report_of(told, sliced, await self._statistics.agreements(rating_pairs(told)))

    async def page(self, report: Mapping[str, Any]) -> bytes:
        return await self._pages.page(report)

    async def _ended(self, tenant: str, run_ids: Sequence[str]) -> list[Run]:
        runs = [await self._runs.get(tenant, one) for one in run_ids]
        for run in runs:
            if run.state is not RunState.SUCCEEDED:
                raise RunsDiffer(f"run {run.run_id} is {run.state.value}: wait until it succeeded")
        return runs

    async def _pairs(
        self, baseline: Run, candidate: Run
    ) -> dict[str, tuple[list[float], list[float]]]:
        """By metric, in the candidate's order of metrics."""
        before = {one.example_id: one for one in await self._runs.items(baseline.run_id)}
        pairs: dict[str, tuple[list[float], list[float]]] = {
            name: ([], []) for name in candidate.metrics if name in baseline.metrics
        }
        for item in await self._runs.items(candidate.run_id):
            known = before.get(item.example_id)
            for name, (first, second) in pairs.items() if known else ():
                old, new = known.scores.get(name) if known else None, item.scores.get(name)
                if old and new and old.value is not None and new.value is not None:
                    first.append(old.value)
                    second.append(new.value)
        return pairs

    def _difference(
        self, name: str, pair: tuple[list[float], list[float]], interval: Any, margin: float
    ) -> Difference:
        first, second = pair
        count = len(first)
        metric = self._metrics.get(name)
        direction = metric.direction if metric else Direction.HIGHER
        return Difference(
            name,
            count,
            sum(first) / count if count else None,
            sum(second) / count if count else None,
            interval,
            verdict(interval, count, direction, margin, self._least),
        )
