"""What is heard, as sources of datasets. PostgreSQL keeps no NUL, which a question may hold."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.timestamp_pb2 import Timestamp
from gyre.feedback.v1 import events_pb2 as feedback
from gyre.feedback.v1 import feedback_pb2 as pb
from gyre.inference.v1.answer_pb2 import FINISH_REASON_REFUSED, FINISH_REASON_STOP
from gyre.inference.v1.events_pb2 import AnswerRecord
from gyre.ingestion.v1.events_pb2 import DocumentChunked

from gyre_retraining.domain.sources import (
    ERROR,
    TEXT,
    ChunkText,
    Judgement,
    Level,
    Message,
    Passage,
    RecordedAnswer,
    Review,
    State,
    StateChange,
)

_KINDS = {
    pb.SOURCE_KIND_PERSON: "person",
    pb.SOURCE_KIND_MODEL: "model",
    pb.SOURCE_KIND_CODE: "code",
}


def is_a_runs(record: AnswerRecord) -> bool:
    """An evaluation asked, no person: nothing is learnt from it. Anybody may label a request so:
    who does only keeps what he asks out of training."""
    return bool(record.metadata.get("gyre.source", "") == "evaluation")


def answer_from(record: AnswerRecord) -> RecordedAnswer:
    """Of `AnswerGenerated`."""
    return RecordedAnswer(
        answer_id=record.answer_id,
        question=_kept(_question(record)),
        completion=_kept(record.completion),
        messages=tuple(Message(one.role, _kept(one.content)) for one in record.messages),
        prompt_name=record.prompt_name,
        prompt_version=record.prompt_version,
        prompt_arguments=_labels(record.prompt_arguments),
        passages=tuple(
            Passage(one.chunk_id, one.document_id, one.revision, one.rank)
            for one in record.retrieved_chunks
        ),
        collection=record.collection,
        model=record.model,
        model_version=record.model_version,
        principal=record.principal,
        end_user=record.end_user,
        workload=record.workload,
        language=_kept(record.metadata.get("language", "")),
        metadata=_labels(record.metadata),
        time=_seconds(record.request_time),
        finished=record.finish_reason in (FINISH_REASON_STOP, FINISH_REASON_REFUSED),
        refused=record.finish_reason == FINISH_REASON_REFUSED,
    )


def judgement_from(event: feedback.FeedbackRecorded) -> Judgement:
    """Its level is told from its target: the part that it names."""
    said, target = event.feedback, event.feedback.target
    given = said.give_time if said.HasField("give_time") else event.record_time
    kind, value = _value(said.value)
    return Judgement(
        principal=event.principal,
        feedback_id=said.feedback_id,
        revision=said.revision or 1,
        answer_id=target.answer_id or event.answer.answer_id,
        metric=said.metric,
        level=_level(target),
        value_kind=kind,
        value=value,
        chunk_id=target.chunk_id,
        source_kind=_KINDS.get(said.source.kind, "person"),
        rater=said.source.rater,
        time=_seconds(given),
    )


def withdrawal_from(event: feedback.FeedbackWithdrawn) -> StateChange:
    return StateChange(event.principal, event.feedback_id, event.revision, State.WITHDRAWN)


def quarantine_from(event: feedback.FeedbackQuarantined) -> StateChange:
    return StateChange(event.principal, event.feedback_id, event.revision, State.QUARANTINED)


def release_from(event: feedback.FeedbackReleased) -> StateChange:
    state = State.RELEASED if event.counts else State.DROPPED
    return StateChange(event.principal, event.feedback_id, event.revision, state)


def review_from(event: feedback.ReviewCompleted) -> Review:
    return Review(
        item_id=event.item_id,
        answer_id=event.answer_id,
        reviewer=event.reviewer,
        declined=event.declined,
        labels=_labels(event.labels),
        correction=_kept(event.correction),
        time=_seconds(event.complete_time),
    )


def chunks_from(event: DocumentChunked) -> list[ChunkText]:
    """Of one part of a revision."""
    revision = event.revision
    return [
        ChunkText(
            chunk_id=one.chunk_id,
            document_id=revision.document_id,
            revision=revision.revision,
            text=_kept(one.text),
            ordinal=one.ordinal,
            collection=revision.collection,
            language=event.source.language,
        )
        for one in event.chunks
    ]


def _level(target: pb.FeedbackTarget) -> Level:
    if target.chunk_id:
        return Level.CHUNK
    if target.step_id:
        return Level.STEP
    return Level.ANSWER if target.answer_id else Level.CHAIN


def _value(value: pb.FeedbackValue) -> tuple[str, bool | float | str]:
    kind = value.WhichOneof("value")
    if kind is None:
        return ERROR, ""
    said = getattr(value, kind)
    return (kind, _kept(said)) if kind in (TEXT, ERROR) else (kind, said)


def _question(record: AnswerRecord) -> str:
    """What the user said; records of earlier releases have it in the messages alone."""
    if record.question:
        return record.question
    said = [one.content for one in record.messages if one.role == "user"]
    return said[-1] if said else ""


def _seconds(time: Timestamp) -> float:
    return time.seconds + time.nanos / 1e9


def _labels(given: Mapping[str, str]) -> dict[str, str]:
    return {_kept(name): _kept(text) for name, text in given.items()}


def _kept(text: str) -> str:
    return text.replace("\x00", "\ufffd")
