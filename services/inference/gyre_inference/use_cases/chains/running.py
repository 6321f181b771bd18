"""Steps are done one after the other; each is told, and recorded where runs are kept."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from gyre_inference.domain.chain_runs import StepRecord
from gyre_inference.domain.chains import Step, StepKind
from gyre_inference.domain.values import plain, value_of
from gyre_inference.ports import Templates
from gyre_inference.use_cases.chains.events import StepBegan, StepEnded, StepEvent, StepText
from gyre_inference.use_cases.chains.recalling import recalled, shortened
from gyre_inference.use_cases.chains.run import Doing, Run, Scope
from gyre_inference.use_cases.chains.timing import in_time

# A model is told how long it may take, and steps inside of others are timed each: a timeout around
# every piece of text would cost more than passing it on.
_TIMED_THEMSELVES = (
    StepKind.GENERATE,
    StepKind.CONDENSE,
    StepKind.GUARD,
    StepKind.BRANCH,
    StepKind.MAP,
)
# They cost nothing, and a guard ends a run; steps inside of them are recorded themselves.
_DONE_AGAIN = (StepKind.GUARD, StepKind.BRANCH, StepKind.MAP)


class Steps(Protocol):
    """Does steps that stand inside of another one."""

    def steps(self, steps: Sequence[Step], scope: Scope, run: Run) -> AsyncGenerator[StepEvent]:
        """Their events; what they make is in the scope under their names."""
        ...


class Work(Protocol):
    """What a kind of step does: events while it goes on, `doing.output` at its end."""

    def __call__(self, doing: Doing, runner: Steps) -> AsyncGenerator[StepEvent]:
        """Raises a `Fault`."""
        ...


class ChainRunner:
    """Runs any chain with the kinds of steps that it is given."""

    def __init__(self, work: Mapping[StepKind, Work], templates: Templates) -> None:
        self._work = work
        self._templates = templates

    async def run(self, run: Run) -> AsyncGenerator[StepEvent]:
        """Events of all steps; then `run.output` is what the chain makes. Raises a `Fault`."""
        scope = Scope(dict(run.inputs))
        async with aclosing(self.steps(run.chain.steps, scope, run)) as events:
            async for event in events:
                yield event
        if not run.finished:
            run.output = scope.values[run.chain.output]

    async def steps(
        self, steps: Sequence[Step], scope: Scope, run: Run
    ) -> AsyncGenerator[StepEvent]:
        """See `Steps`."""
        for step in steps:
            if run.finished:
                return
            doing = Doing(step, scope.path + step.name, scope, run)
            known = run.recorded.get(doing.step_id)
            events = self._known(doing, known) if known else self._done(doing)
            async with aclosing(events) as told:
                async for event in told:
                    yield event
            scope.values[step.name] = doing.output

    async def _known(self, doing: Doing, known: StepRecord) -> AsyncGenerator[StepEvent]:
        """A step that was done before the run was interrupted."""
        doing.output = value_of(known.output)
        if doing.step.kind in _DONE_AGAIN:
            doing.given = self._given(doing.step.arguments, doing.scope.values)
            async with aclosing(self._work[doing.step.kind](doing, self)) as events:
                async for event in events:
                    yield event
        for text in recalled(doing, known):
            yield StepText(doing.step_id, text, is_output=True)
        yield StepEnded(replace(known, resumed=True))

    async def _done(self, doing: Doing) -> AsyncGenerator[StepEvent]:
        step, parent, ledger = doing.step, doing.scope.parent, doing.run.ledger
        yield StepBegan(doing.step_id, parent, step.kind.value, step.name)
        start, begin = datetime.now(UTC), time.monotonic()
        with ledger.step(step.kind.value, step.name, step_id=doing.step_id, parent=parent):
            doing.given = self._given(step.arguments, doing.scope.values)
            async with aclosing(self._work[step.kind](doing, self)) as events:
                told = events if step.kind in _TIMED_THEMSELVES else in_time(doing.run, events)
                async for event in told:
                    yield event
        if doing.run.keep is not None:
            record = _record(doing, start, time.monotonic() - begin)
            await doing.run.keep(record)
            yield StepEnded(record)

    def _given(self, arguments: Any, values: Mapping[str, object]) -> Any:
        """Arguments with their templates filled in."""
        if isinstance(arguments, str):
            return self._templates.value(arguments, values)
        if isinstance(arguments, Mapping):
            return {name: self._given(one, values) for name, one in arguments.items()}
        if isinstance(arguments, list):
            return [self._given(one, values) for one in arguments]
        return arguments


def _record(doing: Doing, start: datetime, seconds: float) -> StepRecord:
    record = StepRecord(
        step_id=doing.step_id,
        parent_step_id=doing.scope.parent,
        kind=doing.step.kind.value,
        name=doing.step.name,
        start=start,
        seconds=seconds,
        input=plain(doing.given),
        output=plain(doing.output),
        usage=doing.usage,
    )
    doing.run.ledger.detail(
        doing.step_id, shortened(record.input), shortened(record.output), doing.usage
    )
    return record
