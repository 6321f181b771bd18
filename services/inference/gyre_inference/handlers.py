"""The bus door: what evaluation finds out about callers is acted on, judgements of answers are
counted for rollouts, verdicts of gates and trained models are heard of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC

from gyre.evaluation.v1.events_pb2 import (
    AlertAcknowledged,
    AlertKind,
    AlertRaised,
    AnswerEvaluated,
    EvaluationsForgotten,
    GateApproved,
    GateDecided,
)
from gyre.feedback.v1.events_pb2 import (
    FeedbackForgotten,
    FeedbackQuarantined,
    FeedbackRecorded,
    FeedbackReleased,
    FeedbackWithdrawn,
)
from gyre.feedback.v1.feedback_pb2 import FeedbackValue, JudgedAnswer
from gyre.retraining.v1.events_pb2 import ModelTrained, SourcesForgotten
from gyre.retraining.v1.training_pb2 import ModelKind
from gyre_runtime.bus import Delivery, Listeners

from gyre_inference.domain.erasures import Forgotten
from gyre_inference.domain.gates import Approval, Decision
from gyre_inference.domain.rollouts import Doubt
from gyre_inference.domain.throttles import Throttle
from gyre_inference.domain.wishes import TrainedModel
from gyre_inference.ports import Erasures
from gyre_inference.use_cases.rollouts.gating import HearGates
from gyre_inference.use_cases.rollouts.hearing import HearJudgements
from gyre_inference.use_cases.rollouts.trained import RollOutTrained
from gyre_inference.use_cases.throttling import Throttling

REASONS = {
    AlertKind.ALERT_KIND_INJECTION: "attempts to change the instructions",
    AlertKind.ALERT_KIND_EXTRACTION: "attempts to get at the prompt or at others' data",
    AlertKind.ALERT_KIND_VOLUME: "an unusual number of requests",
}

_RANKS = (FeedbackQuarantined, FeedbackReleased, FeedbackWithdrawn)
"""Of what may be said about one revision of a judgement, in its order."""


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
            told = {"end_user": event.answer.end_user, "feedback_id": event.feedback.feedback_id}
            answer = _place(event.answer) | told
            await judgements.feedback(delivery.tenant, answer, event.feedback.metric, value)

    @heard.on(FeedbackWithdrawn)
    async def on_feedback_withdrawn(event: FeedbackWithdrawn, delivery: Delivery) -> None:
        await judgements.doubted(delivery.tenant, _doubt(event, counts=False))

    @heard.on(FeedbackQuarantined)
    async def on_feedback_quarantined(event: FeedbackQuarantined, delivery: Delivery) -> None:
        await judgements.doubted(delivery.tenant, _doubt(event, counts=False))

    @heard.on(FeedbackReleased)
    async def on_feedback_released(event: FeedbackReleased, delivery: Delivery) -> None:
        await judgements.doubted(delivery.tenant, _doubt(event, counts=event.counts))

    @heard.on(AnswerEvaluated, concurrency=4)
    async def on_answer_evaluated(event: AnswerEvaluated, delivery: Delivery) -> None:
        scores = {one.metric: one.score for one in event.scores if one.HasField("score")}
        await judgements.evaluated(delivery.tenant, _place(event), scores)

    return heard


def loop_listeners(gates: HearGates, trained: RollOutTrained | None) -> Listeners:
    """What closes the loop. trained: None where trained models are not rolled out by themselves."""
    heard = Listeners("inference")

    @heard.on(GateDecided)
    async def on_gate_decided(event: GateDecided, delivery: Delivery) -> None:
        said = Decision(event.gate_id, event.verdict, tuple(event.reasons), event.needs_approval)
        await gates.said(delivery.tenant, event.cause, said)

    @heard.on(GateApproved)
    async def on_gate_approved(event: GateApproved, delivery: Delivery) -> None:
        time = event.approve_time.ToDatetime(UTC)
        said = Approval(event.gate_id, event.granted, event.principal, event.reason, time)
        await gates.said(delivery.tenant, event.cause, said)

    @heard.on(ModelTrained)
    async def on_model_trained(event: ModelTrained, delivery: Delivery) -> None:
        if trained is not None and event.model.kind == ModelKind.MODEL_KIND_LANGUAGE:
            await trained.heard(delivery.tenant, _trained(event))

    return heard


def erasure_listeners(erasures: Erasures) -> Listeners:
    """Services that have forgotten somebody."""
    heard = Listeners("inference")

    @heard.on(FeedbackForgotten)
    async def on_feedback_forgotten(event: FeedbackForgotten, delivery: Delivery) -> None:
        by = _forgotten("feedback", event)
        await erasures.forgotten(delivery.tenant, event.erasure_id, by)

    @heard.on(EvaluationsForgotten)
    async def on_evaluations_forgotten(event: EvaluationsForgotten, delivery: Delivery) -> None:
        by = _forgotten("evaluation", event)
        await erasures.forgotten(delivery.tenant, event.erasure_id, by)

    @heard.on(SourcesForgotten)
    async def on_sources_forgotten(event: SourcesForgotten, delivery: Delivery) -> None:
        by = _forgotten("retraining", event)
        await erasures.forgotten(delivery.tenant, event.erasure_id, by)

    return heard


def _forgotten(
    service: str, event: FeedbackForgotten | EvaluationsForgotten | SourcesForgotten
) -> Forgotten:
    erased: Mapping[str, int] = event.erased
    return Forgotten(service, dict(erased), event.forget_time.ToDatetime(UTC))


def _trained(event: ModelTrained) -> TrainedModel:
    model = event.model
    return TrainedModel(
        name=model.name,
        version=model.version,
        uri=model.uri,
        content_hash=model.content_hash,
        training_id=event.training.training_id,
        made=model.register_time.ToDatetime(UTC),
    )


def _place(answer: JudgedAnswer | AnswerEvaluated) -> dict[str, str]:
    names = ("answer_id", "experiment", "variant")
    return {name: str(getattr(answer, name)) for name in names}


def _doubt(
    event: FeedbackWithdrawn | FeedbackQuarantined | FeedbackReleased, *, counts: bool
) -> Doubt:
    return Doubt(event.feedback_id, event.revision, _RANKS.index(type(event)), counts)


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
