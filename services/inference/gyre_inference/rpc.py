"""The gRPC door: one method, one call, a stream of replies."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from gyre.inference.v1 import service_pb2, service_pb2_grpc
from gyre_runtime.telemetry import counter, names
from opentelemetry import trace

from gyre_inference import wire
from gyre_inference.domain.chain_runs import ChainRequest
from gyre_inference.domain.generation import Message
from gyre_inference.domain.passages import SearchFilter
from gyre_inference.domain.record import AnswerRecord, Caller, Labels
from gyre_inference.domain.requests import Conversation, Question
from gyre_inference.domain.throttles import Throttled
from gyre_inference.doors.calls import Context, caller_of, faults_as_status
from gyre_inference.use_cases import AnswerQuestion, Delta, Event, GenerateText, Started
from gyre_inference.use_cases.chains.events import StepBegan, StepEnded, StepText
from gyre_inference.use_cases.run_chain import RunChain, RunDone, RunEvent, RunStarted
from gyre_inference.use_cases.throttling import Throttling

THROTTLED = counter("inference_throttled", "Requests refused because their caller is held.")
Request = service_pb2.AnswerRequest | service_pb2.GenerateRequest | service_pb2.RunChainRequest


class InferenceServicer(service_pb2_grpc.InferenceServiceServicer):
    """Writes to the context itself, so that a caller's leaving ends the work at once."""

    def __init__(
        self,
        answers: AnswerQuestion,
        texts: GenerateText,
        chains: RunChain,
        throttling: Throttling,
    ) -> None:
        self._answers = answers
        self._texts = texts
        self._chains = chains
        self._throttling = throttling

    async def Answer(  # type: ignore[override]
        self, request: service_pb2.AnswerRequest, context: Context
    ) -> None:
        """Answers from documents."""
        events = self._answers.answer(_question(request), self._admitted(request, context))
        done = _answer_done_with_arguments if request.tell_arguments else _answer_done
        await _send(events, context, service_pb2.AnswerResponse, done)

    async def Generate(  # type: ignore[override]
        self, request: service_pb2.GenerateRequest, context: Context
    ) -> None:
        """Continues a conversation."""
        events = self._texts.generate(_conversation(request), self._admitted(request, context))
        await _send(events, context, service_pb2.GenerateResponse, _generate_done)

    async def RunChain(  # type: ignore[override]
        self, request: service_pb2.RunChainRequest, context: Context
    ) -> None:
        """Runs a chain and tells its steps."""
        trace.get_current_span().set_attributes(
            {names.OPERATION_NAME: "invoke_workflow", names.WORKFLOW_NAME: request.chain[:64]}
        )
        with faults_as_status():
            caller = self._admitted(request, context)
            events = self._chains.run(_chain_request(request), caller)
            async with aclosing(events) as told:
                async for event in told:
                    await context.write(_chain_reply(event))

    def _admitted(self, request: Request, context: Context) -> Caller:
        """Who is held is refused before anything is done or recorded."""
        caller = caller_of(context)
        with faults_as_status(), THROTTLED.count_exceptions(Throttled):
            self._throttling.admit(caller, request.end_user)
        return caller


async def _send(
    events: AsyncGenerator[Event, None],
    context: Context,
    response: Callable[..., Any],
    done: Callable[[AnswerRecord], Any],
) -> None:
    with faults_as_status():
        async with aclosing(events) as told:
            async for event in told:
                await context.write(_reply(event, response, done))


def _reply(event: Event, response: Callable[..., Any], done: Callable[[AnswerRecord], Any]) -> Any:
    if isinstance(event, Delta):
        return response(text_delta=event.text)
    if isinstance(event, Started):
        return response(started=_started(event.record))
    return response(done=done(event.record))


def _started(record: AnswerRecord) -> service_pb2.AnswerStarted:
    return service_pb2.AnswerStarted(
        answer_id=record.answer_id,
        model=record.model,
        prompt_name=record.prompt_name,
        prompt_version=record.prompt_version,
        experiment=record.experiment,
        variant=record.variant,
    )


def _question(request: service_pb2.AnswerRequest) -> Question:
    condition = request.filter
    return Question(
        text=request.question,
        collection=request.collection or "default",
        condition=SearchFilter(
            document_ids=tuple(condition.document_ids),
            languages=tuple(condition.languages),
            metadata=tuple(sorted(condition.metadata.items())),
        ),
        top_k=request.top_k,
        prompt_name=request.prompt_name,
        prompt_version=request.prompt_version,
        parameters=wire.parameters_of(request.parameters),
        labels=_labels(request),
        model=request.model,
        arguments=dict(request.prompt_arguments),
    )


def _conversation(request: service_pb2.GenerateRequest) -> Conversation:
    return Conversation(
        messages=tuple(Message(turn.role, turn.content) for turn in request.messages),
        parameters=wire.parameters_of(request.parameters),
        model=request.model,
        labels=_labels(request),
    )


def _labels(request: Request) -> Labels:
    return Labels(request.conversation_id, request.end_user, dict(request.metadata))


def _answer_done(record: AnswerRecord) -> service_pb2.AnswerDone:
    return service_pb2.AnswerDone(
        finish_reason=wire.finish_reason(record.finish_reason),
        citations=[wire.citation(cited) for cited in record.citations],
        usage=wire.usage(record.usage),
        timings=wire.timings(record.timings),
        text=record.completion,
    )


def _answer_done_with_arguments(record: AnswerRecord) -> service_pb2.AnswerDone:
    done = _answer_done(record)
    done.prompt_arguments.update(record.prompt_arguments)
    return done


def _generate_done(record: AnswerRecord) -> service_pb2.GenerateDone:
    return service_pb2.GenerateDone(
        finish_reason=wire.finish_reason(record.finish_reason),
        usage=wire.usage(record.usage),
        timings=wire.timings(record.timings),
        text=record.completion,
    )


def _chain_request(request: service_pb2.RunChainRequest) -> ChainRequest:
    limited = request.HasField("time_budget")
    return ChainRequest(
        chain=request.chain,
        version=request.version,
        inputs=wire.data_of(request.inputs),
        chain_run_id=request.chain_run_id,
        labels=_labels(request),
        tokens=request.token_budget,
        seconds=request.time_budget.ToTimedelta().total_seconds() if limited else None,
    )


def _chain_reply(event: RunEvent) -> service_pb2.RunChainResponse:
    match event:
        case RunStarted(header):
            started = service_pb2.ChainStarted(
                chain_run_id=header.chain_run_id,
                answer_id=header.answer_id,
                version=int(header.version),
                experiment=header.experiment,
                variant=header.variant,
            )
            return service_pb2.RunChainResponse(started=started)
        case StepBegan(step_id, parent, kind, name):
            begun = service_pb2.StepStarted(
                step_id=step_id, parent_step_id=parent, kind=kind, name=name
            )
            return service_pb2.RunChainResponse(step_started=begun)
        case StepText(step_id, text, is_output):
            delta = service_pb2.StepDelta(step_id=step_id, text=text, is_output=is_output)
            return service_pb2.RunChainResponse(step_delta=delta)
        case StepEnded(record):
            return service_pb2.RunChainResponse(step_done=wire.step_record(record))
        case RunDone():
            return service_pb2.RunChainResponse(done=_chain_done(event))


def _chain_done(done: RunDone) -> service_pb2.ChainDone:
    return service_pb2.ChainDone(
        output=wire.value(done.output),
        text=done.text,
        citations=map(wire.citation, done.citations),
        finish_reason=wire.finish_reason(done.finish_reason),
        usage=wire.usage(done.usage),
        timings=wire.timings(done.record.timings) if done.record else None,
    )
