"""Judgements as messages and back."""

from __future__ import annotations

from datetime import UTC, datetime

from gyre.feedback.v1 import feedback_pb2 as pb

from gyre_feedback.domain.errors import Invalid, Refused
from gyre_feedback.domain.judgements import Judgement, Source, SourceKind, State, Target
from gyre_feedback.domain.metrics import Category, Failure, Value
from gyre_feedback.wire.times import stamp

_SOURCES = {pb.SourceKind.Value(f"SOURCE_KIND_{one.name}"): one for one in SourceKind}
_STATES = {pb.FeedbackState.Value(f"FEEDBACK_STATE_{one.name}"): one for one in State}
_SOURCE_CODES = {noun: code for code, noun in _SOURCES.items()}
_STATE_CODES = {noun: code for code, noun in _STATES.items()}


def state_code(state: State) -> pb.FeedbackState.ValueType:
    return _STATE_CODES[state]


def state_from(code: pb.FeedbackState.ValueType) -> State | None:
    """None for UNSPECIFIED. Raises `Invalid` for what this release does not know."""
    if code and code not in _STATES:
        raise Invalid({"state": "is not a state that this service knows"})
    return _STATES.get(code)


def judgement_from(message: pb.Feedback, *, withdrawn: bool = False) -> Judgement:
    """A withdrawal where it is told so; a judgement without a value has an empty text.

    Raises `Refused` for a time that is none.
    """
    target, source = message.target, message.source
    return Judgement(
        feedback_id=message.feedback_id,
        revision=message.revision or 1,
        target=Target(target.answer_id, target.chain_run_id, target.step_id, target.chunk_id),
        metric=message.metric,
        value=None if withdrawn else _value_from(message.value),
        source=Source(_SOURCES.get(source.kind, SourceKind.PERSON), source.rater, source.version),
        rationale=message.rationale,
        give_time=_give_time(message),
        metadata=dict(message.metadata),
    )


def judgement_to(judgement: Judgement) -> pb.Feedback:
    target, source = judgement.target, judgement.source
    return pb.Feedback(
        feedback_id=judgement.feedback_id,
        revision=judgement.revision,
        target=pb.FeedbackTarget(
            answer_id=target.answer_id,
            chain_run_id=target.chain_run_id,
            step_id=target.step_id,
            chunk_id=target.chunk_id,
        ),
        metric=judgement.metric,
        value=_value_to(judgement.value),
        source=pb.FeedbackSource(
            kind=_SOURCE_CODES[source.kind], rater=source.rater, version=source.version
        ),
        rationale=judgement.rationale,
        give_time=stamp(judgement.give_time),
        metadata=judgement.metadata,
    )


def _give_time(message: pb.Feedback) -> datetime | None:
    if not message.HasField("give_time"):
        return None
    try:
        return message.give_time.ToDatetime(UTC)
    except (ValueError, OverflowError):
        detail = "is no time between the years 1 and 9999"
        raise Refused("invalid", f"give_time {detail}", {"give_time": detail}) from None


def _value_from(message: pb.FeedbackValue) -> Value:
    match message.WhichOneof("value"):
        case "boolean":
            return message.boolean
        case "number":
            return message.number
        case "category":
            return Category(message.category)
        case "error":
            return Failure(message.error)
        case _:
            return message.text


def _value_to(value: Value | None) -> pb.FeedbackValue | None:
    match value:
        case None:
            return None
        case bool():
            return pb.FeedbackValue(boolean=value)
        case float() | int():
            return pb.FeedbackValue(number=value)
        case Failure():
            return pb.FeedbackValue(error=value.text)
        case Category():
            return pb.FeedbackValue(category=str(value))
        case str():
            return pb.FeedbackValue(text=value)
