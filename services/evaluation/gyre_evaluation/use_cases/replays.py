"""Replays as callers see them: started, watched, cancelled, reported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from gyre_evaluation.domain.errors import RequestInvalid, RunsDiffer
from gyre_evaluation.domain.metrics.metric import Metric
from gyre_evaluation.domain.pairs import pairs_of
from gyre_evaluation.domain.replay_reports import replay_report_of
from gyre_evaluation.domain.replays import DATASET, Replay, ReplayState
from gyre_evaluation.ports import Datasets, Replays, ReportPages, Runs

WATCH_PAUSE = 0.3


class KeepReplays:
    """Every method raises `RequestInvalid` and `ReplayUnknown`.

    call: wakes whoever works on replays. known: names that may be asked for.
    """

    def __init__(
        self,
        replays: Replays,
        runs: Runs,
        datasets: Datasets,
        pages: ReportPages,
        metrics: Mapping[str, Metric],
        *,
        known: Callable[[], Collection[str]],
        call: Callable[[], None],
    ) -> None:
        self._replays = replays
        self._runs = runs
        self._datasets = datasets
        self._pages = pages
        self._metrics = metrics
        self._known = known
        self._call = call

    async def start(self, replay: Replay, creation_key: str) -> Replay:
        """Answers that are recorded later are no part of it."""
        if unknown := [name for name in replay.metrics if name not in self._known()]:
            raise RequestInvalid({"metrics": f"unknown: {', '.join(unknown)}"})
        until = replay.wanted.end or replay.create_time
        wanted = replace(replay.wanted, end=min(until, replay.create_time))
        started = await self._replays.start(replace(replay, wanted=wanted), creation_key)
        self._call()
        return started

    async def get(self, tenant: str, replay_id: str) -> Replay:
        """With how far its second run is."""
        return await self._with_progress(await self._replays.get(tenant, replay_id))

    async def page(self, tenant: str, limit: int, before: str) -> list[Replay]:
        found = await self._replays.page(tenant, limit=limit, before=before)
        return [await self._with_progress(one) for one in found]

    async def watch(self, tenant: str, replay_id: str) -> AsyncIterator[Replay]:
        """The replay now, and after each change until it ends."""
        last: Replay | None = None
        while last is None or not last.state.ended:
            replay = await self.get(tenant, replay_id)
            if replay != last:
                yield replay
                last = replay
            else:
                await asyncio.sleep(WATCH_PAUSE)

    async def cancel(self, tenant: str, replay_id: str) -> Replay:
        """Its runs, too; one that ended stays as it is."""
        replay = await self._replays.get(tenant, replay_id)
        if await self._replays.finish(replay, ReplayState.CANCELLED, None):
            for run_id in filter(None, (replay.recorded_run_id, replay.replayed_run_id)):
                await self._runs.cancel(tenant, run_id)
        return await self.get(tenant, replay_id)

    async def report(self, tenant: str, replay_id: str) -> dict[str, Any]:
        """Raises `RunsDiffer` until it succeeded."""
        replay = await self.get(tenant, replay_id)
        if replay.state is not ReplayState.SUCCEEDED:
            raise RunsDiffer(f"replay {replay_id} is {replay.state.value}: it has no report")
        before = await self._runs.get(tenant, replay.recorded_run_id)
        after = await self._runs.get(tenant, replay.replayed_run_id)
        dataset = await self._datasets.get(tenant, DATASET, replay.dataset_version)
        items = await self._runs.items(after.run_id)
        pairs = pairs_of(
            await self._datasets.examples(dataset), await self._runs.items(before.run_id), items
        )
        return replay_report_of(replay, dataset, (before, after), pairs, items, self._metrics)

    async def page_of(self, report: Mapping[str, Any]) -> bytes:
        return await self._pages.page(report)

    async def _with_progress(self, replay: Replay) -> Replay:
        if not replay.replayed_run_id:
            return replay
        run = await self._runs.get(replay.tenant, replay.replayed_run_id)
        return replace(replay, done=run.done, failures=run.failures)
