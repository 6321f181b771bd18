"""Answers as messages and back."""

from __future__ import annotations

from datetime import UTC

from gyre.feedback.v1 import feedback_pb2 as pb
from gyre.inference.v1.events_pb2 import AnswerRecord

from gyre_feedback.domain.answers import AnswerCame, JudgedAnswer
from gyre_feedback.wire.times import stamp

TEXT_LIMIT = 16_384


def answer_from(message: pb.JudgedAnswer) -> JudgedAnswer:
    when = message.request_time.ToDatetime(UTC) if message.HasField("request_time") else None
    return JudgedAnswer(
        answer_id=message.answer_id,
        chain_run_id=message.chain_run_id,
        step_ids=tuple(message.step_ids),
        prompt_name=message.prompt_name,
        prompt_version=message.prompt_version,
        model=message.model,
        model_version=message.model_version,
        variant=message.variant,
        experiment=message.experiment,
        collection=message.collection,
        end_user=message.end_user,
        principal=message.principal,
        workload=message.workload,
        language=message.language,
        segment=message.segment,
        chunks=dict(zip(message.chunk_ids, message.document_ids, strict=True)),
        request_time=when,
        failed=message.failed,
    )


def answer_to(answer: JudgedAnswer, *, only_chunk: str = "") -> pb.JudgedAnswer:
    """only_chunk: the passage that the judgement is about, where it is about one."""
    chunks = answer.chunks
    if only_chunk:
        chunks = {only_chunk: chunks.get(only_chunk, "")}
    return pb.JudgedAnswer(
        answer_id=answer.answer_id,
        chain_run_id=answer.chain_run_id,
        step_ids=answer.step_ids,
        prompt_name=answer.prompt_name,
        prompt_version=answer.prompt_version,
        model=answer.model,
        model_version=answer.model_version,
        variant=answer.variant,
        experiment=answer.experiment,
        collection=answer.collection,
        end_user=answer.end_user,
        principal=answer.principal,
        workload=answer.workload,
        language=answer.language,
        segment=answer.segment,
        chunk_ids=list(chunks),
        document_ids=list(chunks.values()),
        request_time=stamp(answer.request_time),
        failed=answer.failed,
    )


def answer_came(record: AnswerRecord, *, failed: bool = False) -> AnswerCame:
    """What feedback keeps of an answer's record; text is cut at 16,384 characters."""
    when = record.request_time.ToDatetime(UTC) if record.HasField("request_time") else None
    answer = JudgedAnswer(
        answer_id=record.answer_id,
        chain_run_id=record.chain_run_id,
        step_ids=tuple(step.step_id for step in record.steps),
        prompt_name=record.prompt_name,
        prompt_version=record.prompt_version,
        model=record.model,
        model_version=record.model_version,
        variant=record.variant,
        experiment=record.experiment,
        collection=record.collection,
        end_user=record.end_user,
        principal=record.principal,
        workload=record.workload,
        language=_kept(record.metadata.get("language", "")),
        segment=_kept(record.metadata.get("segment", "")),
        chunks={one.chunk_id: one.document_id for one in record.retrieved_chunks},
        request_time=when,
        failed=failed,
    )
    return AnswerCame(answer, _kept(_question(record)), _kept(record.completion))


def _kept(text: str) -> str:
    """PostgreSQL keeps no NUL, which a question may hold."""
    return text[:TEXT_LIMIT].replace("\x00", "\ufffd")


def _question(record: AnswerRecord) -> str:
    """What the user said; records of earlier releases have it in the messages alone."""
    if record.question:
        return record.question
    said = [one.content for one in record.messages if one.role == "user"]
    return said[-1] if said else ""
