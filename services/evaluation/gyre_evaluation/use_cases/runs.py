"""Runs as callers see them: started, watched, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import replace

from gyre_evaluation.domain.errors import DatasetNotReady, RequestInvalid
from gyre_evaluation.domain.metrics.catalogue import RULES
from gyre_evaluation.domain.rubrics import PREFERENCE
from gyre_evaluation.domain.runs import Kind, Run, judges
from gyre_evaluation.ports import Datasets, Runs

WATCH_PAUSE = 0.3


class StartRuns:
    """Every method raises `RequestInvalid`, `DatasetUnknown`, `RunUnknown`.

    call: wakes whoever works on runs. metrics: names that may be asked for.
    """

    def __init__(
        self,
        runs: Runs,
        datasets: Datasets,
        *,
        metrics: Callable[[], Collection[str]],
        call: Callable[[], None],
    ) -> None:
        self._runs = runs
        self._datasets = datasets
        self._metrics = metrics
        self._call = call

    async def start(self, run: Run, creation_key: str) -> Run:
        """Raises `DatasetNotReady` where the version is open."""
        unknown = [name for name in run.metrics if name not in self._metrics()]
        if unknown:
            known = ", ".join(sorted(self._metrics()))
            raise RequestInvalid({"metrics": f"unknown: {', '.join(unknown)}; known: {known}"})
        refuse_unjudging(run.metrics, run.target.kind)
        version = await self._datasets.get(run.tenant, run.dataset, run.dataset_version)
        if not version.sealed:
            raise DatasetNotReady(f"{version.name}@{version.version} is open: seal it first")
        if run.split and run.split not in version.splits:
            raise RequestInvalid({"split": f"it has {', '.join(sorted(version.splits))}"})
        if PREFERENCE.metric.name in run.metrics and not run.baseline_run_id:
            raise RequestInvalid(
                {"baseline_run_id": "judge_preference needs a run to compare with"}
            )
        if run.baseline_run_id:
            base = await self._runs.get(run.tenant, run.baseline_run_id)
            if (base.dataset, base.dataset_version) != (version.name, version.version):
                raise RequestInvalid({"baseline_run_id": "it ran on another dataset version"})
        started = await self._runs.start(
            replace(run, dataset_version=version.version), creation_key
        )
        self._call()
        return started

    async def get(self, tenant: str, run_id: str) -> Run:
        return await self._runs.get(tenant, run_id)

    async def page(self, tenant: str, dataset: str, limit: int, before: str) -> list[Run]:
        return await self._runs.page(tenant, dataset, limit=limit, before=before)

    async def cancel(self, tenant: str, run_id: str) -> Run:
        return await self._runs.cancel(tenant, run_id)

    async def watch(self, tenant: str, run_id: str) -> AsyncIterator[Run]:
        """The run now, and after each change until it ends."""
        last: Run | None = None
        while last is None or not last.state.ended:
            run = await self._runs.get(tenant, run_id)
            if run != last:
                yield run
                last = run
            else:
                await asyncio.sleep(WATCH_PAUSE)


def refuse_unjudging(metrics: Sequence[str], kind: Kind) -> None:
    """Raises `RequestInvalid` for metrics that say nothing of such a target."""
    judging = {one.name for one in RULES.values() if judges(one, kind)}
    if kind is Kind.SEARCH and (useless := sorted(set(metrics) - judging)):
        needs = f"they need an answer; a search is judged by {', '.join(sorted(judging))}"
        raise RequestInvalid({"metrics": f"{', '.join(useless)}: {needs}"})
