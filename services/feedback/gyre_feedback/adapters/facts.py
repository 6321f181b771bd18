"""What is said of judgements, as events."""

from __future__ import annotations

from gyre.feedback.v1 import events_pb2 as events

from gyre_feedback.domain.answers import JudgedAnswer
from gyre_feedback.domain.judgements import Judgement
from gyre_feedback.wire import answer_to, judgement_to, stamp


def recorded(
    principal: str, judgement: Judgement, answer: JudgedAnswer, now: float
) -> events.FeedbackRecorded:
    """A judgement and its answer have met."""
    return events.FeedbackRecorded(
        feedback=judgement_to(judgement),
        principal=principal,
        answer=answer_to(answer, only_chunk=judgement.target.chunk_id),
        record_time=stamp(now),
    )


def withdrawn(principal: str, judgement: Judgement) -> events.FeedbackWithdrawn:
    """It counts no more."""
    return events.FeedbackWithdrawn(
        feedback_id=judgement.feedback_id,
        revision=judgement.revision,
        principal=principal,
        answer_id=judgement.target.place,
        metric=judgement.metric,
    )


def rejected(
    principal: str, judgement: Judgement, reason: str, detail: str
) -> events.FeedbackRejected:
    """It will not be recorded."""
    return events.FeedbackRejected(
        feedback_id=judgement.feedback_id,
        revision=judgement.revision,
        principal=principal,
        answer_id=judgement.target.place,
        metric=judgement.metric,
        reason=reason,
        detail=detail,
    )


def quarantined(
    principal: str, judgement: Judgement, reason: str, detail: str
) -> events.FeedbackQuarantined:
    """It has no effect until a person decides."""
    return events.FeedbackQuarantined(
        feedback_id=judgement.feedback_id,
        revision=judgement.revision,
        principal=principal,
        answer_id=judgement.target.place,
        metric=judgement.metric,
        reason=reason,
        detail=detail,
    )


def released(
    principal: str, judgement: Judgement, decided_by: str, *, counts: bool
) -> events.FeedbackReleased:
    """A person decided."""
    return events.FeedbackReleased(
        feedback_id=judgement.feedback_id,
        revision=judgement.revision,
        principal=principal,
        answer_id=judgement.target.place,
        metric=judgement.metric,
        counts=counts,
        decided_by=decided_by,
    )
