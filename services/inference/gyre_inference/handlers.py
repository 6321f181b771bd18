"""The bus door: what evaluation finds out about callers is acted on, and judgements of answers are
counted for rollouts."""

from __future__ import annotations

from datetime import UTC

from gyre.evaluation.v1.events_pb2 import (
    AlertAcknowledged,
    AlertKind,
    AlertRaised,
    AnswerEvaluated,
)
from gyre.feedback.v1.events_pb2 import FeedbackRecorded
from gyre.feedback.v1.feedback_pb2 import FeedbackValue, JudgedAnswer
from gyre_runtime.bus import Delivery, Listeners

from gyre_inference.domain.throttles import Throttle
from gyre_inference.use_cases.rollouts.hearing import HearJudgements
from gyre_inference.use_cases.throttling import Throttling

REASONS = {
    AlertKind.ALERT_KIND_INJECTION: "attempts to change the instructions",
    AlertKind.ALERT_KIND_EXTRACTION: "attempts to get at the prompt or at others' data",
    AlertKind.ALERT_KIND_VOLUME: "an unusual number of requests",
}


def listeners(throttling: Throttling, judgements: HearJudgements) -> Listeners:
    """What this service hears."""
    heard = Listeners("inference")

    @heard.on(AlertRaised)
    async def on_alert_raised(event: AlertRaised, delivery: Delivery) -> None:
        if event.principal and event.HasField("until") and event.kind in REASONS:
            await throttling.hold(_throttle(event, delivery.tenant))

    @heard.on(AlertAcknowledged)
    async def on_alert_acknowledged(event: AlertAcknowledged, delivery: Delivery) -> None:
        if event.principal:
            await throttling.lift(delivery.tenant, event.alert_id)

    @heard.on(FeedbackRecorded, concurrency=4)
    async def on_feedback_recorded(event: FeedbackRecorded, delivery: Delivery) -> None:
        value = _value(event.feedback.value)
        if value is not None:
            answer = {**_place(event.answer), "end_user": event.answer.end_user}
            await judgements.feedback(delivery.tenant, answer, event.feedback.metric, value)

    @heard.on(AnswerEvaluated, concurrency=4)
    async def on_answer_evaluated(event: AnswerEvaluated, delivery: Delivery) -> None:
        scores = {one.metric: one.score for one in event.scores if one.HasField("score")}
        await judgements.evaluated(delivery.tenant, _place(event), scores)

    return heard


def _place(answer: JudgedAnswer | AnswerEvaluated) -> dict[str, str]:
    names = ("answer_id", "experiment", "variant")
    return {name: str(getattr(answer, name)) for name in names}


def _value(value: FeedbackValue) -> float | None:
    """None for texts, errors and categories, whose order only feedback knows."""
    match value.WhichOneof("value"):
        case "boolean":
            return float(value.boolean)
        case "number":
            return float(value.number)
        case _:
            return None


def _throttle(event: AlertRaised, tenant: str) -> Throttle:
    return Throttle(
        alert_id=event.alert_id,
        tenant=tenant,
        principal=event.principal,
        end_user=event.end_user,
        until=event.until.ToDatetime(UTC),
        reason=REASONS[event.kind],
    )
