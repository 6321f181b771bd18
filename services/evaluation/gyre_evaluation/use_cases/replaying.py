"""Replays are moved on. Every step may be repeated: it finds what an earlier one made."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import uuid_utils

from gyre_evaluation.domain.comparison import Difference
from gyre_evaluation.domain.datasets import DatasetVersion, SplitPlan, seal
from gyre_evaluation.domain.errors import (
    DatasetNotReady,
    DatasetSealed,
    NotPossible,
    RequestInvalid,
)
from gyre_evaluation.domain.pairs import pairs_of
from gyre_evaluation.domain.replays import DATASET, Outcome, Replay, ReplayState, chosen
from gyre_evaluation.domain.rubrics import PREFERENCE
from gyre_evaluation.domain.runs import Kind, Run, RunState, Target
from gyre_evaluation.ports import Datasets, RecordedAnswers, Replays, Runs
from gyre_evaluation.use_cases.comparing import CompareRuns
from gyre_evaluation.use_cases.runs import StartRuns

BUSY, IDLE = 0.25, 5.0
CANNOT_GO_ON = (DatasetNotReady, NotPossible, RequestInvalid)


@dataclass(frozen=True, slots=True)
class History:
    """What replays are made of."""

    replays: Replays
    recorded: RecordedAnswers
    datasets: Datasets
    runs: Runs


class AdvanceReplays:
    """Several processes may do so at once. failed: told of what should not happen."""

    def __init__(
        self,
        history: History,
        starting: StartRuns,
        comparing: CompareRuns,
        *,
        failed: Callable[[Exception], None],
    ) -> None:
        self._history = history
        self._starting = starting
        self._comparing = comparing
        self._failed = failed
        self._called = asyncio.Event()

    def call(self) -> None:
        """There is a new replay."""
        self._called.set()

    async def run(self) -> None:
        """Until cancelled; what is open goes on in another process, or after the start."""
        while True:
            self._called.clear()
            pause = BUSY if await self.advance_all() else IDLE
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._called.wait()

    async def advance_all(self) -> int:
        """One step of each; how many are open."""
        try:
            opened = await self._history.replays.open()
        except Exception as error:  # the store may be away for a moment
            self._failed(error)
            return 1
        for replay in opened:
            try:
                await self.advance(replay)
            except CANNOT_GO_ON as error:
                await self._fail(replay, str(error))
            except Exception as error:  # the next replay must not wait for this one
                self._failed(error)
        return len(opened)

    async def advance(self, replay: Replay) -> None:
        """One step: choose, score what was recorded, answer again, conclude."""
        if not replay.dataset_version:
            await self._choose(replay)
        elif not replay.recorded_run_id:
            await self._score_recorded(replay)
        elif not replay.replayed_run_id:
            await self._answer_again(replay)
        else:
            await self._conclude(replay)

    async def _choose(self, replay: Replay) -> None:
        history = self._history
        answers = await history.recorded.find(replay.tenant, replay.wanted)
        examples, left_out = chosen(answers, replay.target)
        if not examples:
            await self._fail(replay, _nothing(left_out))
            return
        version = await self._dataset(replay)
        if not version.sealed:
            with contextlib.suppress(DatasetSealed):  # another process is further
                await history.datasets.add(version, examples)
            kept = await history.datasets.examples(version)
            version = await history.datasets.seal(version, seal(kept, SplitPlan()))
        version = await history.datasets.get(replay.tenant, DATASET, version.version)
        await history.replays.keep(
            replace(
                replay,
                dataset_version=version.version,
                answers=version.examples,
                left_out=left_out,
            )
        )
        self.call()

    async def _dataset(self, replay: Replay) -> DatasetVersion:
        return await self._history.datasets.open(
            replay.tenant,
            DATASET,
            description=f"replay {replay.replay_id}",
            author=replay.author,
            creation_key=replay.replay_id,
        )

    async def _score_recorded(self, replay: Replay) -> None:
        metrics = tuple(name for name in replay.metrics if name != PREFERENCE.metric.name)
        run = _run(replay, Target(Kind.RECORDED), metrics, "as recorded")
        started = await self._starting.start(run, f"{replay.replay_id}/recorded")
        await self._keep(replace(replay, recorded_run_id=started.run_id), started)

    async def _answer_again(self, replay: Replay) -> None:
        before = await self._history.runs.get(replay.tenant, replay.recorded_run_id)
        if not before.state.ended:
            return
        if before.state is not RunState.SUCCEEDED:
            await self._fail(replay, f"the recorded answers: {before.detail or before.state}")
            return
        metrics = replay.metrics or before.metrics
        run = replace(
            _run(replay, replay.target, metrics, replay.title),
            baseline_run_id=before.run_id,
            ignore_cache=replay.ignore_cache,
            replay_id=replay.replay_id,
        )
        started = await self._starting.start(run, f"{replay.replay_id}/replayed")
        further = replace(
            replay,
            replayed_run_id=started.run_id,
            state=ReplayState.RUNNING,
        )
        await self._keep(further, started)

    async def _keep(self, replay: Replay, started: Run) -> None:
        """A replay that was cancelled meanwhile has no run."""
        if not await self._history.replays.keep(replay):
            await self._history.runs.cancel(replay.tenant, started.run_id)

    async def _conclude(self, replay: Replay) -> None:
        history = self._history
        after = await history.runs.get(replay.tenant, replay.replayed_run_id)
        if not after.state.ended:
            return
        if after.state is not RunState.SUCCEEDED:
            await self._fail(replay, after.detail or f"its run is {after.state.value}")
            return
        before = await history.runs.get(replay.tenant, replay.recorded_run_id)
        differences = await self._comparing.differences(before, after, (), replay.margin)
        outcome = await self._outcome(replay, differences)
        resolved = replace(replay, target=after.target)
        await history.replays.finish(resolved, ReplayState.SUCCEEDED, outcome)

    async def _outcome(self, replay: Replay, differences: Sequence[Difference]) -> Outcome:
        history = self._history
        dataset = await history.datasets.get(replay.tenant, DATASET, replay.dataset_version)
        pairs = pairs_of(
            await history.datasets.examples(dataset),
            await history.runs.items(replay.recorded_run_id),
            await history.runs.items(replay.replayed_run_id),
        )
        return Outcome(
            differences=tuple(differences),
            changed=sum(one.changed for one in pairs),
            gained=sum(one.gained for one in pairs),
            lost=sum(one.lost for one in pairs),
        )

    async def _fail(self, replay: Replay, detail: str) -> None:
        ended = replace(replay, detail=detail[:1000])
        await self._history.replays.finish(ended, ReplayState.FAILED, None)


def _run(replay: Replay, target: Target, metrics: Sequence[str], label: str) -> Run:
    return Run(
        run_id=str(uuid_utils.uuid7()),
        tenant=replay.tenant,
        author=replay.author,
        target=target,
        dataset=DATASET,
        dataset_version=replay.dataset_version,
        metrics=tuple(metrics),
        create_time=replay.create_time,
        label=label,
        concurrency=replay.concurrency,
    )


def _nothing(left_out: dict[str, int]) -> str:
    if not left_out:
        return "no recorded answer is like that"
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
    return f"none of the recorded answers can be given again: {told}"
