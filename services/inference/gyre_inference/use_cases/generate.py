"""Plain chat: a conversation in, the next message out."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from gyre_inference.domain.choice import Choice
from gyre_inference.domain.editing import Verbatim
from gyre_inference.domain.generation import ModelRequest
from gyre_inference.domain.policy import Policy
from gyre_inference.domain.record import AnswerRecord, Caller
from gyre_inference.domain.requests import Conversation, check_conversation
from gyre_inference.ports import LanguageModel, Records
from gyre_inference.use_cases.assigning import assigned, served
from gyre_inference.use_cases.events import Delta, Done, Event, Started
from gyre_inference.use_cases.in_force import InForce
from gyre_inference.use_cases.keeping import failures_kept
from gyre_inference.use_cases.ledger import Ledger
from gyre_inference.use_cases.rollouts.shadowing import Seen, Shadows, Told
from gyre_inference.use_cases.telling import tell

WORKLOAD = "generate"


class GenerateText:
    """Passes a conversation to the model and remembers what came of it."""

    def __init__(
        self,
        model: LanguageModel,
        records: Records,
        in_force: InForce,
        policy: Policy,
        shadows: Shadows,
    ) -> None:
        self._model = model
        self._records = records
        self._in_force = in_force
        self._policy = policy
        self._shadows = shadows

    async def generate(
        self, conversation: Conversation, caller: Caller
    ) -> AsyncGenerator[Event, None]:
        """Started, deltas, done. Raises a `Fault` after its record is durable."""
        check_conversation(conversation)
        ledger = Ledger(WORKLOAD, caller, conversation.labels, self._policy.model)
        asked = Choice(model=conversation.model, parameters=conversation.parameters)
        choice = assigned(self._in_force, WORKLOAD, asked, ledger)
        name = served(self._in_force, self._policy, ledger.tenant, choice.model)
        ledger.know(model=name, question=conversation.messages[-1].content)
        async with failures_kept(self._records, ledger):
            yield Started(ledger.known)
            request = self._request(conversation, choice, name, ledger)
            begin = time.monotonic()
            with ledger.step(WORKLOAD, name):
                async with aclosing(tell(self._model, request, ledger, Verbatim())) as told:
                    async for text in told:
                        yield Delta(text)
            seconds = time.monotonic() - begin
            ledger.know(model_version=await self._model.version(name))
        record = ledger.record()
        await self._records.generated(record)
        self._shadows.offer(_seen(record, request, seconds))
        yield Done(record)

    def _request(
        self, conversation: Conversation, choice: Choice, name: str, ledger: Ledger
    ) -> ModelRequest:
        parameters = choice.parameters.over(self._policy.parameters)
        config_hash = self._policy.config_hash(name)
        ledger.know(messages=conversation.messages, parameters=parameters, config_hash=config_hash)
        return ModelRequest(
            model=name,
            messages=conversation.messages,
            parameters=parameters,
            tenant=ledger.tenant,
            request_id=ledger.answer_id,
            timeout=ledger.time_left,
        )


def _seen(record: AnswerRecord, request: ModelRequest, seconds: float) -> Seen:
    return Seen(
        tenant=record.caller.tenant,
        workload=record.workload,
        experiment=record.experiment,
        answer_id=record.answer_id,
        request=request,
        prompt=None,
        grounds=None,
        arguments={},
        told=Told(record.completion, 0, 0, seconds),
    )
