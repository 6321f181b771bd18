"""A chain is run: each step is durable before it is told, and an interrupted run goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from uuid_utils import uuid7

from gyre_inference.domain.chain_runs import (
    ChainRequest,
    ChainRun,
    RunEnding,
    RunHeader,
    RunState,
    StepRecord,
    check_chain_request,
)
from gyre_inference.domain.chains import Chain
from gyre_inference.domain.choice import Choice, chosen_by
from gyre_inference.domain.citations import Citation
from gyre_inference.domain.faults import (
    BudgetSpent,
    Conflict,
    Ended,
    InvalidRequest,
    NotFound,
)
from gyre_inference.domain.generation import FinishReason, Usage
from gyre_inference.domain.policy import Policy
from gyre_inference.domain.record import AnswerRecord, Caller
from gyre_inference.domain.values import Written, plain, text_of, value_of
from gyre_inference.ports import LEASE, ChainRuns, Records
from gyre_inference.use_cases.answer import Chains
from gyre_inference.use_cases.chains.events import StepEnded, StepEvent, StepText
from gyre_inference.use_cases.chains.preparing import inputs_of
from gyre_inference.use_cases.chains.run import Run
from gyre_inference.use_cases.keeping import failures_kept
from gyre_inference.use_cases.ledger import Ledger
from gyre_inference.use_cases.rollouts.observing import Observer

_FINAL = (BudgetSpent, InvalidRequest, NotFound)


@dataclass(frozen=True)
class RunStarted:
    """First: the ids."""

    header: RunHeader


@dataclass(frozen=True)
class RunDone:
    """Last. output: plain data. record: None where an earlier run came to this end."""

    output: object
    text: str
    finish_reason: FinishReason
    citations: tuple[Citation, ...]
    usage: Usage
    record: AnswerRecord | None = None


RunEvent = RunStarted | StepEvent | RunDone


class RunChain:
    """Runs chains whose runs are kept."""

    def __init__(
        self,
        chains: Chains,
        runs: ChainRuns,
        records: Records,
        policy: Policy,
        observer: Observer,
    ) -> None:
        self._chains = chains
        self._runs = runs
        self._records = records
        self._policy = policy
        self._observer = observer

    async def run(self, request: ChainRequest, caller: Caller) -> AsyncGenerator[RunEvent]:
        """Started, events of steps, done. Raises a `Fault`; what was done until then is kept."""
        check_chain_request(request)
        holder = str(uuid7())
        known = await self._begun(request, caller, holder)
        yield RunStarted(known.header)
        if known.ending is not None:
            for again in _told_again(known, known.ending):
                yield again
            return
        held = self._held(caller.tenant, known.header.chain_run_id, holder)
        async with held, aclosing(self._run(known, request, caller, holder)) as events:
            async for event in events:
                yield event

    async def get(self, tenant: str, chain_run_id: str) -> ChainRun:
        """What was recorded. Raises `NotFound`."""
        return await self._runs.get(tenant, chain_run_id)

    async def _begun(self, request: ChainRequest, caller: Caller, holder: str) -> ChainRun:
        chain = await self._chains.in_force.chain(caller.tenant, request.chain, request.version)
        inputs = inputs_of(chain, request.inputs)
        header = RunHeader(
            chain_run_id=request.chain_run_id or str(uuid7()),
            chain=chain.name,
            version=chain.version,
            answer_id=str(uuid7()),
            inputs=inputs,
            labels=request.labels,
            start=datetime.now(UTC),
        )
        known = await self._runs.begin(caller.tenant, self._assigned(header, caller), holder)
        if known.header.chain != header.chain:
            await self._runs.release(caller.tenant, header.chain_run_id, holder)
            raise Conflict(f"the run {header.chain_run_id} is one of {known.header.chain!r}")
        return known

    def _assigned(self, header: RunHeader, caller: Caller) -> RunHeader:
        """With the experiment's variant, which a run keeps when it goes on. None where an
        evaluation asks."""
        experiment = self._chains.in_force.experiment(caller.tenant, header.chain)
        if experiment is None or header.labels.is_a_runs:
            return header
        variant = experiment.variant_for(header.labels, header.answer_id)
        return replace(
            header,
            experiment=experiment.experiment_id,
            variant=variant.name,
            variant_share=experiment.shares[variant.name],
        )

    async def _run(
        self, known: ChainRun, request: ChainRequest, caller: Caller, holder: str
    ) -> AsyncGenerator[RunEvent]:
        header = known.header
        ledger = Ledger(
            header.chain, caller, header.labels, self._policy.model, answer_id=header.answer_id
        )
        ledger.know(
            chain_run_id=header.chain_run_id,
            experiment=header.experiment,
            variant=header.variant,
            variant_share=header.variant_share,
            question=str(header.inputs.get("question", "")),
        )
        async with failures_kept(self._records, ledger):
            chain = await self._chains.in_force.chain(caller.tenant, header.chain, header.version)
            run = self._prepared(chain, ledger, known, request, holder)
            await self._chains.preparing.prepare(run)
            async with aclosing(self._chains.runner.run(run)) as events:
                async for event in events:
                    yield event
        yield await self._done(run, holder)

    def _prepared(
        self, chain: Chain, ledger: Ledger, known: ChainRun, request: ChainRequest, holder: str
    ) -> Run:
        recorded = {step.step_id: step for step in known.steps}
        place = len(recorded)

        async def keep(step: StepRecord) -> None:
            nonlocal place
            place += 1
            await self._runs.keep(ledger.tenant, known.header.chain_run_id, holder, place, step)

        return Run(
            chain=chain,
            ledger=ledger,
            inputs=known.header.inputs,
            budget=chain.budget.at_most(request.tokens, request.seconds),
            choice=self._choice(known.header, ledger),
            keep=keep,
            recorded=recorded,
        )

    def _choice(self, header: RunHeader, ledger: Ledger) -> Choice:
        experiment = self._chains.in_force.experiment(ledger.tenant, header.chain)
        if experiment is None or experiment.experiment_id != header.experiment:
            return Choice()  # it was stopped meanwhile
        return next(
            (chosen_by(one) for one in experiment.variants if one.name == header.variant), Choice()
        )

    async def _done(self, run: Run, holder: str) -> RunDone:
        ledger = run.ledger
        text = text_of(run.output)
        if not ledger.has_text and text:
            ledger.said(text)
        record = ledger.record()
        finish = record.finish_reason or FinishReason.STOP
        record = replace(record, finish_reason=finish)
        output = plain(run.output)
        ending = RunEnding(RunState.DONE, output, finish_reason=finish.value)
        await self._runs.end(ledger.tenant, record.chain_run_id, ending, record)
        self._observer.answered(record)
        return RunDone(output, text, finish, record.citations, record.usage, record)

    @asynccontextmanager
    async def _held(self, tenant: str, chain_run_id: str, holder: str) -> AsyncIterator[None]:
        """The lease is renewed while the run goes on; what cannot be mended ends the run."""
        renewing = asyncio.create_task(self._renew(tenant, chain_run_id, holder))
        try:
            yield
        except _FINAL as fault:
            ending = RunEnding(RunState.FAILED, None, fault.status, fault.detail)
            await self._runs.end(tenant, chain_run_id, ending, None)
            raise
        finally:
            renewing.cancel()
            # Shielded: a caller that leaves must not leave its run held.
            releasing = self._runs.release(tenant, chain_run_id, holder)
            await asyncio.shield(asyncio.ensure_future(releasing))

    async def _renew(self, tenant: str, chain_run_id: str, holder: str) -> None:
        while await self._runs.renew(tenant, chain_run_id, holder):  # noqa: ASYNC110 - a lease
            await asyncio.sleep(LEASE / 3)


def _told_again(known: ChainRun, ending: RunEnding) -> list[StepEvent | RunDone]:
    """Raises what the run failed with."""
    if ending.state is RunState.FAILED:
        raise Ended(ending.status, ending.detail)
    usage = Usage()
    for step in known.steps:
        usage = usage.plus(step.usage)
    output = value_of(ending.output)
    citations = output.citations if isinstance(output, Written) else ()
    finish = FinishReason(ending.finish_reason)
    steps = [StepEnded(replace(step, resumed=True)) for step in known.steps]
    text = text_of(output)
    told = [StepText("", text, is_output=True)] if text else []
    return [*steps, *told, RunDone(ending.output, text, finish, citations, usage)]
