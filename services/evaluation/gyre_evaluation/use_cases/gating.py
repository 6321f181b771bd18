"""Gates are moved on to their verdict. Every step may be repeated: it finds what was made."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import uuid_utils

from gyre_evaluation.domain.datasets import DatasetVersion, SplitPlan, seal
from gyre_evaluation.domain.errors import (
    DatasetNotReady,
    DatasetSealed,
    DatasetUnknown,
    NotPossible,
    RequestInvalid,
)
from gyre_evaluation.domain.examples import MOST_QUESTION, Example
from gyre_evaluation.domain.gates.checks import (
    FIXED,
    FRESH,
    SAFETY,
    TRIGGERS,
    Check,
    Evidence,
    GateVerdict,
    answered,
    bar_check,
    questions_of,
    regression_check,
    safety_check,
    together,
    trigger_check,
)
from gyre_evaluation.domain.gates.gate import DATASET, Gate, Part
from gyre_evaluation.domain.metrics.metric import Metric
from gyre_evaluation.domain.pairs import pairs_of
from gyre_evaluation.domain.recorded import AnswerFilter
from gyre_evaluation.domain.replays import chosen
from gyre_evaluation.domain.runs import Kind, Run, RunState, Target
from gyre_evaluation.ports import Datasets, Gates, RecordedAnswers, Runs, Statistics
from gyre_evaluation.use_cases.runs import StartRuns

BUSY, IDLE = 0.25, 5.0
CANNOT_GO_ON = (DatasetNotReady, DatasetUnknown, NotPossible, RequestInvalid)
REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class GateBench:
    """What gates are worked on with."""

    gates: Gates
    recorded: RecordedAnswers
    datasets: Datasets
    runs: Runs
    statistics: Statistics
    metrics: Mapping[str, Metric]


class AdvanceGates:
    """Several processes may do so at once. failed: told of what should not happen."""

    def __init__(
        self, bench: GateBench, starting: StartRuns, *, failed: Callable[[Exception], None]
    ) -> None:
        self._bench = bench
        self._starting = starting
        self._failed = failed
        self._called = asyncio.Event()

    def call(self) -> None:
        """There is a new gate."""
        self._called.set()

    async def run(self) -> None:
        """Until cancelled; what runs goes on in another process, or after the start."""
        while True:
            self._called.clear()
            pause = BUSY if await self.advance_all() else IDLE
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._called.wait()

    async def advance_all(self) -> int:
        """One step of each; how many run."""
        try:
            opened = await self._bench.gates.open()
        except Exception as error:  # the store may be away for a moment
            self._failed(error)
            return 1
        for gate in opened:
            try:
                await self.advance(gate)
            except CANNOT_GO_ON as error:
                await self._give_up(gate, str(error))
            except Exception as error:  # the next gate must not wait for this one
                self._failed(error)
        return len(opened)

    async def advance(self, gate: Gate) -> None:
        """One step: datasets, champions, candidates, verdict."""
        if not gate.parts:
            await self._prepare(gate)
            return
        runs = {
            run_id: await self._bench.runs.get(gate.tenant, run_id)
            for part in gate.parts
            for run_id in part.run_ids
        }
        if failed := [one for one in runs.values() if _ended_badly(one)]:
            await self._give_up(gate, f"{failed[0].label}: {failed[0].detail or failed[0].state}")
        elif any(len(part.run_ids) < 2 for part in gate.parts):
            await self._start(gate, runs)
        elif all(one.state.ended for one in runs.values()):
            await self._decide(gate)

    async def _give_up(self, gate: Gate, detail: str) -> None:
        """Without the answers there is no evidence: never a pass."""
        check = Check("gate", "answered", GateVerdict.INSUFFICIENT, detail[:1000])
        await self._bench.gates.decide(
            replace(gate, verdict=GateVerdict.INSUFFICIENT, checks=(check,))
        )
        await self._stop(gate, [one for part in gate.parts for one in part.run_ids])

    async def _prepare(self, gate: Gate) -> None:
        fixed, policy = gate.policy.fixed, gate.policy
        version = await self._bench.datasets.get(gate.tenant, fixed.dataset, fixed.version)
        parts = [Part(FIXED, version.name, version.version, fixed.split, fixed.limit)]
        missing = []
        if policy.fresh is not None:
            fresh = await self._fresh(gate)
            parts += [fresh] if fresh else []
            missing += [] if fresh else [_nothing_fresh(gate)]
        for suite in policy.safety:
            kept = await self._bench.datasets.get(gate.tenant, suite.dataset, suite.version)
            name = f"{SAFETY}/{suite.dataset}"
            parts.append(Part(name, kept.name, kept.version, suite.split))
        if policy.triggers is not None:
            parts.append(await self._planted(gate, version))
        await self._bench.gates.keep(replace(gate, parts=tuple(parts), missing=tuple(missing)))
        self.call()

    async def _fresh(self, gate: Gate) -> Part | None:
        wanted = gate.policy.fresh
        assert wanted is not None
        answers = await self._bench.recorded.find(
            gate.tenant,
            AnswerFilter(
                collection=wanted.collection,
                start=gate.create_time - timedelta(hours=wanted.hours),
                end=gate.create_time,
                limit=wanted.limit,
            ),
        )
        examples, _ = chosen(answers, _again(gate.candidate))
        if not examples:
            return None
        version = await self._sealed(gate, FRESH, examples)
        return Part(FRESH, version.name, version.version)

    async def _planted(self, gate: Gate, version: DatasetVersion) -> Part:
        wanted, fixed = gate.policy.triggers, gate.policy.fixed
        assert wanted is not None
        most = min(wanted.questions, fixed.limit or wanted.questions)
        plain = await self._bench.datasets.examples(version, split=fixed.split, limit=most)
        examples = [planted(one, string) for one in plain for string in wanted.strings]
        made = await self._sealed(gate, TRIGGERS, examples)
        return Part(TRIGGERS, made.name, made.version)

    async def _sealed(self, gate: Gate, name: str, examples: Sequence[Example]) -> DatasetVersion:
        datasets = self._bench.datasets
        version = await datasets.open(
            gate.tenant,
            DATASET,
            description=f"{name} of gate {gate.gate_id}",
            author=gate.author,
            creation_key=f"{gate.gate_id}/{name}",
        )
        if not version.sealed:
            with contextlib.suppress(DatasetSealed):  # another process is further
                await datasets.add(version, examples)
            kept = await datasets.examples(version)
            version = await datasets.seal(version, seal(kept, SplitPlan()))
        return version

    async def _start(self, gate: Gate, runs: Mapping[str, Run]) -> None:
        """The champion's answers first: those of the candidate are compared with them."""
        next_ones = [await self._next(gate, part, runs) for part in gate.parts]
        started = [run for _, run in next_ones if run is not None]
        further = replace(gate, parts=tuple(part for part, _ in next_ones))
        if started and not await self._bench.gates.keep(further):
            await self._stop(gate, [run.run_id for run in started])  # cancelled meanwhile

    async def _next(
        self, gate: Gate, part: Part, runs: Mapping[str, Run]
    ) -> tuple[Part, Run | None]:
        champion = runs.get(part.champion_run_id)
        if champion is None:
            run = await self._started(gate, part, "champion", gate.champion)
            return replace(part, champion_run_id=run.run_id), run
        if part.candidate_run_id or not champion.state.ended:
            return part, None
        run = await self._started(gate, part, "candidate", gate.candidate, champion.run_id)
        return replace(part, candidate_run_id=run.run_id), run

    async def _stop(self, gate: Gate, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            await self._bench.runs.cancel(gate.tenant, run_id)

    async def _started(
        self, gate: Gate, part: Part, side: str, target: Target, baseline: str = ""
    ) -> Run:
        run = Run(
            run_id=str(uuid_utils.uuid7()),
            tenant=gate.tenant,
            author=gate.author,
            target=_again(target) if part.name == FRESH else target,
            dataset=part.dataset,
            dataset_version=part.version,
            metrics=_metrics(gate, part),
            create_time=gate.create_time,
            split=part.split,
            limit=part.limit,
            label=f"gate {gate.policy.workload}, {part.name}, {side}",
            ignore_cache=True,  # other weights under the same name must not pass as these
            baseline_run_id=baseline,
            replay_id=gate.gate_id if part.name == FRESH else "",
        )
        return await self._starting.start(run, f"{gate.gate_id}/{part.name}/{side}")

    async def _decide(self, gate: Gate) -> None:
        evidence = {part.name: await self._evidence(gate, part) for part in gate.parts}
        checks = await self.checks(gate, evidence)
        verdict = together(checks)
        await self._bench.gates.decide(replace(gate, checks=tuple(checks), verdict=verdict))

    async def _evidence(self, gate: Gate, part: Part) -> Evidence:
        bench = self._bench
        version = await bench.datasets.get(gate.tenant, part.dataset, part.version)
        examples = await bench.datasets.examples(version, split=part.split, limit=part.limit)
        pairs = pairs_of(
            examples,
            await bench.runs.items(part.champion_run_id),
            await bench.runs.items(part.candidate_run_id),
        )
        return Evidence(part.name, len(examples), pairs)

    async def checks(self, gate: Gate, evidence: Mapping[str, Evidence]) -> list[Check]:
        """All that the policy asks for, in its order."""
        policy, metrics = gate.policy, self._bench.metrics
        found = [*gate.missing, *(answered(one) for one in evidence.values())]
        found += await self._bars(gate, evidence)
        found += [
            regression_check(one, evidence[FIXED], metrics.get(one.metric))
            for one in policy.fixed.regressions
        ]
        for suite in policy.safety:
            part = evidence[f"{SAFETY}/{suite.dataset}"]
            found += [safety_check(name, part, metrics.get(name)) for name in suite.metrics]
        if policy.triggers is not None:
            found.append(trigger_check(policy, evidence[FIXED], evidence[TRIGGERS]))
        return found

    async def _bars(self, gate: Gate, evidence: Mapping[str, Evidence]) -> list[Check]:
        asked = questions_of(gate.policy, evidence)
        statistics = self._bench.statistics
        differences = await statistics.differences(
            {one.key: (one.champion, one.candidate) for one in asked}
        )
        own = await statistics.means({one.key: one.candidate for one in asked})
        metrics = self._bench.metrics
        return [
            bar_check(one, differences.get(one.key), own.get(one.key), metrics.get(one.metric))
            for one in asked
        ]


def planted(example: Example, trigger: str) -> Example:
    """The question with the trigger behind it."""
    room = MOST_QUESTION - len(trigger) - 1
    return replace(
        example,
        question=f"{example.question[:room]} {trigger}",
        origin=example.example_id,
        group="",
        split="",
        slices={**dict(list(example.slices.items())[:15]), "trigger": trigger},
        ratings={},
    )


def _again(target: Target) -> Target:
    return replace(target, kind=Kind.REPLAY)


def _metrics(gate: Gate, part: Part) -> tuple[str, ...]:
    policy = gate.policy
    if part.name == FIXED:
        regressions = (one.metric for one in policy.fixed.regressions)
        return tuple(dict.fromkeys((*policy.fixed.bars, *regressions)))
    if part.name == FRESH and policy.fresh is not None:
        return tuple(policy.fresh.bars)
    if part.name == TRIGGERS:
        return (REFUSAL,)
    suites = {f"{SAFETY}/{one.dataset}": one.metrics for one in policy.safety}
    return suites[part.name]


def _nothing_fresh(gate: Gate) -> Check:
    wanted = gate.policy.fresh
    assert wanted is not None
    detail = f"nothing that can be answered again was asked within {wanted.hours:g} hours"
    return Check(FRESH, "answered", GateVerdict.INSUFFICIENT, detail)


def _ended_badly(run: Run) -> bool:
    return run.state.ended and run.state is not RunState.SUCCEEDED
