"""A question in, an answer from the documents out: the chain `answer` is run, told and kept."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from gyre_inference.domain.chains import Chain
from gyre_inference.domain.choice import Choice
from gyre_inference.domain.policy import Policy
from gyre_inference.domain.record import Caller
from gyre_inference.domain.requests import Question, check_question
from gyre_inference.domain.values import text_of
from gyre_inference.ports import Records
from gyre_inference.use_cases import again
from gyre_inference.use_cases.assigning import assigned
from gyre_inference.use_cases.chains.events import StepText
from gyre_inference.use_cases.chains.preparing import Preparing, inputs_of
from gyre_inference.use_cases.chains.run import Run
from gyre_inference.use_cases.chains.running import ChainRunner
from gyre_inference.use_cases.events import Delta, Done, Event, Started
from gyre_inference.use_cases.in_force import InForce
from gyre_inference.use_cases.keeping import failures_kept
from gyre_inference.use_cases.ledger import Ledger

CHAIN = "answer"


@dataclass(frozen=True)
class Chains:
    """What running chains needs."""

    in_force: InForce
    preparing: Preparing
    runner: ChainRunner


class AnswerQuestion:
    """Answers from the documents of one collection, or says that they do not answer."""

    def __init__(self, chains: Chains, records: Records, policy: Policy) -> None:
        self._chains = chains
        self._records = records
        self._policy = policy

    async def answer(self, question: Question, caller: Caller) -> AsyncGenerator[Event, None]:
        """Started, deltas, done. Raises a `Fault` after its record is durable."""
        check_question(question)
        workload = again.WORKLOAD if question.arguments else CHAIN
        ledger = Ledger(workload, caller, question.labels, self._policy.model)
        ledger.know(question=question.text)
        async with failures_kept(self._records, ledger):
            run = await self._prepared(question, ledger)
            yield Started(ledger.known)
            async with aclosing(self._told(run)) as told:
                async for text in told:
                    yield Delta(text)
        record = ledger.record()
        await self._records.generated(record)
        yield Done(record)

    async def _told(self, run: Run) -> AsyncGenerator[str, None]:
        silent = True
        async with aclosing(self._chains.runner.run(run)) as events:
            async for event in events:
                if isinstance(event, StepText) and event.is_output:
                    silent = False
                    yield event.text
        if silent and (text := text_of(run.output)):
            run.ledger.said(text)
            yield text

    async def _prepared(self, question: Question, ledger: Ledger) -> Run:
        ledger.know(collection=question.collection)
        run = await (self._again if question.arguments else self._anew)(question, ledger)
        await self._chains.preparing.prepare(run)
        return run

    async def _again(self, question: Question, ledger: Ledger) -> Run:
        """No experiment: what was recorded is no traffic."""
        inputs = again.inputs_of(question.text, question.arguments)
        return Run(again.CHAIN, ledger, inputs, again.CHAIN.budget, _asked(question))

    async def _anew(self, question: Question, ledger: Ledger) -> Run:
        chain = await self._chains.in_force.chain(ledger.tenant, CHAIN)
        choice = assigned(self._chains.in_force, CHAIN, _asked(question), ledger)
        inputs = inputs_of(chain, _inputs(question, chain))
        return Run(chain, ledger, inputs, chain.budget, choice)


def _asked(question: Question) -> Choice:
    return Choice(
        question.prompt_name, question.prompt_version, question.model, question.parameters
    )


def _inputs(question: Question, chain: Chain) -> dict[str, object]:
    """Those that the chain declares."""
    given: dict[str, object] = {
        "question": question.text,
        "collection": question.collection,
        "filter": question.condition,
        "top_k": question.top_k,
    }
    return {name: value for name, value in given.items() if name in chain.declared}
