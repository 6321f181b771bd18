"""Answers as messages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from gyre.inference.v1 import answer_pb2, events_pb2

from gyre_inference.domain.citations import Citation
from gyre_inference.domain.generation import FinishReason, Message, Parameters, Usage
from gyre_inference.domain.passages import Passage
from gyre_inference.domain.record import AnswerRecord, Step, Timings


def finish_reason(reason: FinishReason | None) -> answer_pb2.FinishReason.ValueType:
    """UNSPECIFIED where an answer never came to an end."""
    name = f"FINISH_REASON_{reason.value if reason else 'UNSPECIFIED'}"
    return answer_pb2.FinishReason.Value(name)


def citation(cited: Citation) -> answer_pb2.Citation:
    """With the place of the sentence, in its chunk and in its document."""
    sentence, passage = cited.sentence, cited.sentence.passage
    return answer_pb2.Citation(
        number=cited.number,
        document_id=passage.document_id,
        revision=passage.revision,
        chunk_id=passage.chunk_id,
        title=passage.title,
        source_uri=passage.source_uri,
        heading_path=passage.heading_path,
        page=passage.page,
        sentence=sentence.verbatim,
        sentence_start=sentence.start,
        sentence_end=sentence.end,
    )


def usage(tokens: Usage) -> answer_pb2.TokenUsage:
    """Token counts."""
    return answer_pb2.TokenUsage(
        input_tokens=tokens.input_tokens,
        output_tokens=tokens.output_tokens,
        cached_tokens=tokens.cached_tokens,
    )


def timings(times: Timings) -> answer_pb2.Timings:
    """Seconds as durations."""
    first = times.first_token
    return answer_pb2.Timings(
        total=_duration(times.total),
        time_to_first_token=None if first is None else _duration(first),
        time_per_output_token=_duration(times.per_output_token),
        queue=_duration(times.queue),
        retrieval=_duration(times.retrieval),
        selection=_duration(times.selection),
        model=_duration(times.model),
        overhead=_duration(times.overhead),
        tools=_duration(times.tools) if times.tools else None,
    )


def parameters(sampling: Parameters) -> answer_pb2.GenerationParameters:
    """Absent where the model decides."""
    return answer_pb2.GenerationParameters(
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        seed=sampling.seed,
        stop=sampling.stop,
    )


def parameters_of(message: answer_pb2.GenerationParameters) -> Parameters:
    """What is given. The wire has 32-bit floats: 0.7 comes as 0.699999988."""
    given = {field.name: value for field, value in message.ListFields() if field.name != "stop"}
    rounded: dict[str, Any] = {
        name: round(value, 6) if isinstance(value, float) else value
        for name, value in given.items()
    }
    return Parameters(**rounded, stop=tuple(message.stop))


def record(answer: AnswerRecord) -> events_pb2.AnswerRecord:
    """Every field that is known."""
    message = events_pb2.AnswerRecord(
        answer_id=answer.answer_id,
        chain_run_id=answer.chain_run_id,
        workload=answer.workload,
        tenant=answer.caller.tenant,
        principal=answer.caller.principal,
        trace_id=answer.caller.trace_id,
        conversation_id=answer.labels.conversation_id,
        end_user=answer.labels.end_user,
        metadata=answer.labels.metadata,
        question=answer.question,
        completion=answer.completion,
        finish_reason=finish_reason(answer.finish_reason),
        usage=usage(answer.usage),
        timings=timings(answer.timings),
        guard_verdicts=answer.guard_verdicts,
        steps=[_step(step) for step in answer.steps],
        citations=[citation(cited) for cited in answer.citations],
    )
    message.request_time.FromDatetime(answer.request_time)
    _add_chain(message, answer)
    _add_model(message, answer)
    _add_retrieval(message, answer)
    return message


def _add_chain(message: events_pb2.AnswerRecord, answer: AnswerRecord) -> None:
    message.experiment = answer.experiment
    message.variant = answer.variant
    message.variant_share = answer.variant_share
    message.chain = answer.chain
    message.chain_version = int(answer.chain_version or 0)


def _add_model(message: events_pb2.AnswerRecord, answer: AnswerRecord) -> None:
    message.model, _, message.adapter = answer.model.partition("+")
    message.model_version = answer.model_version
    message.config_hash = answer.config_hash
    message.prompt_name = answer.prompt_name
    message.prompt_version = answer.prompt_version
    message.prompt_arguments.update(answer.prompt_arguments)
    message.messages.extend(_message(turn) for turn in answer.messages)
    message.parameters.CopyFrom(parameters(answer.parameters))


def _add_retrieval(message: events_pb2.AnswerRecord, answer: AnswerRecord) -> None:
    message.collection = answer.collection
    message.index_version = answer.index_version
    message.retrieved_chunks.extend(_retrieved(passage) for passage in answer.passages)


def _message(turn: Message) -> answer_pb2.ChatMessage:
    return answer_pb2.ChatMessage(role=turn.role, content=turn.content)


def _retrieved(passage: Passage) -> events_pb2.RetrievedChunk:
    return events_pb2.RetrievedChunk(
        chunk_id=passage.chunk_id,
        document_id=passage.document_id,
        revision=passage.revision,
        rank=passage.rank,
        score=passage.score,
    )


def _step(step: Step) -> events_pb2.ChainStep:
    message = events_pb2.ChainStep(
        step_id=step.step_id,
        parent_step_id=step.parent_step_id,
        kind=step.kind,
        name=step.name,
        status=step.status,
        input=step.input,
        output=step.output,
        usage=usage(step.usage) if step.usage.tokens else None,
    )
    message.start_time.FromDatetime(step.start)
    message.end_time.FromDatetime(step.end)
    return message


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromTimedelta(timedelta(seconds=seconds))
    return duration
