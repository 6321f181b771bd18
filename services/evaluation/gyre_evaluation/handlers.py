"""The bus door: an event turns into one call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC

from gyre.evaluation.v1.events_pb2 import AlertRaised
from gyre.feedback.v1.events_pb2 import (
    FeedbackQuarantined,
    FeedbackRecorded,
    FeedbackReleased,
    FeedbackWithdrawn,
)
from gyre.inference.v1.events_pb2 import (
    AnswerFailed,
    AnswerGenerated,
    AnswerRecord,
    ErasureRequested,
    RolloutChanged,
)
from gyre.inference.v1.rollout_pb2 import ROLLOUT_STATE_GATING, ROLLOUT_STATE_ROLLED_BACK
from gyre.retrieval.v1.events_pb2 import IndexBuilt
from gyre_runtime.bus import Delivery, Listeners
from gyre_runtime.erasing import Erasure
from gyre_runtime.telemetry import counter

from gyre_evaluation.domain.windows import Traits
from gyre_evaluation.ports import AlarmReceiver, JudgementPlace, RecordedAnswers
from gyre_evaluation.use_cases.awaited import AwaitGates
from gyre_evaluation.use_cases.judgements import PREFIX, HearJudgements
from gyre_evaluation.use_cases.live import HearAnswers
from gyre_evaluation.wire.alerts import alert_from
from gyre_evaluation.wire.awaited import of_index, of_rollout, rollout_key
from gyre_evaluation.wire.judgements import place_of, score_of
from gyre_evaluation.wire.live import live_answer
from gyre_evaluation.wire.recorded import EVALUATION, SOURCE, recorded_answer

ALERTS = counter("evaluation_alerts", "Alerts said, by what they are about.", ["kind", "severity"])
Withdrawing = FeedbackWithdrawn | FeedbackQuarantined | FeedbackReleased


def listeners(
    answers: HearAnswers,
    judgements: HearJudgements,
    receiver: AlarmReceiver | None,
    recorded: RecordedAnswers,
    own: frozenset[str],
    gates: AwaitGates,
    forget: Callable[[Erasure], Awaitable[None]],
) -> Listeners:
    """What this service hears. receiver: None where alarms go nowhere else. own: principals as
    which its runs ask. forget: notes whom."""
    heard = Listeners("evaluation")

    @heard.on(AnswerGenerated, concurrency=8)
    async def on_answer_generated(event: AnswerGenerated, delivery: Delivery) -> None:
        if _is_a_runs(event.record, own):
            return
        answer = live_answer(event.record, delivery.tenant)
        kept = recorded_answer(event.record, answer.question)
        if await recorded.keep(delivery.tenant, kept, answer.end_user):
            await answers(answer, event.record.SerializeToString(), "")

    @heard.on(AnswerFailed, concurrency=8)
    async def on_answer_failed(event: AnswerFailed, delivery: Delivery) -> None:
        if _is_a_runs(event.record, own):
            return
        status = event.status or "UNKNOWN"
        answer = live_answer(event.record, delivery.tenant, status)
        whose = answer.answer_id, answer.end_user, answer.time
        if await recorded.note(delivery.tenant, *whose):
            await answers(answer, event.record.SerializeToString(), status)

    @heard.on(FeedbackRecorded, concurrency=4)
    async def on_feedback_recorded(event: FeedbackRecorded, delivery: Delivery) -> None:
        score = score_of(event.feedback.value)
        if score is not None:
            place = place_of(event, delivery.tenant)
            await judgements.record(place, score, max(event.feedback.revision, 1))

    @heard.on(FeedbackWithdrawn)
    async def on_feedback_withdrawn(event: FeedbackWithdrawn, delivery: Delivery) -> None:
        await judgements.bar(_place(event, delivery), event.revision, barred=True)

    @heard.on(FeedbackQuarantined)
    async def on_feedback_quarantined(event: FeedbackQuarantined, delivery: Delivery) -> None:
        await judgements.bar(_place(event, delivery), event.revision, barred=True)

    @heard.on(FeedbackReleased)
    async def on_feedback_released(event: FeedbackReleased, delivery: Delivery) -> None:
        place = _place(event, delivery)
        await judgements.bar(place, event.revision, barred=not event.counts)

    @heard.on(AlertRaised, budget=20.0)
    async def on_alert_raised(event: AlertRaised, delivery: Delivery) -> None:
        alert = alert_from(event, delivery.tenant)
        if receiver is not None:
            await receiver.deliver(delivery.envelope.event_id, alert)
        ALERTS.labels(alert.kind, alert.severity).inc()

    @heard.on(RolloutChanged)
    async def on_rollout_changed(event: RolloutChanged, delivery: Delivery) -> None:
        if event.rollout.state == ROLLOUT_STATE_GATING:
            await gates.start(of_rollout(event.rollout, delivery.tenant))
        elif event.rollout.state == ROLLOUT_STATE_ROLLED_BACK:
            await gates.stop(delivery.tenant, rollout_key(event.rollout.rollout_id))

    @heard.on(IndexBuilt)
    async def on_index_built(event: IndexBuilt, delivery: Delivery) -> None:
        if event.gated:
            await gates.start(of_index(event, delivery.tenant))

    @heard.on(ErasureRequested)
    async def on_erasure_requested(event: ErasureRequested, delivery: Delivery) -> None:
        until = event.request_time.seconds + event.request_time.nanos / 1e9
        await forget(Erasure(event.erasure_id, delivery.tenant, event.end_user, until))

    return heard


def _is_a_runs(record: AnswerRecord, own: frozenset[str]) -> bool:
    """A run asked, no person. Anybody can label a request so, only some may: the label alone would
    let a caller hide from the watch."""
    return record.principal in own and record.metadata.get(SOURCE) == EVALUATION


def _place(event: Withdrawing, delivery: Delivery) -> JudgementPlace:
    """Without what only the answer knows: what is kept already has it."""
    return JudgementPlace(
        tenant=delivery.tenant,
        feedback_id=f"{event.principal}/{event.feedback_id}",
        metric=PREFIX + event.metric,
        answer_id=event.answer_id,
        time=delivery.envelope.time.astimezone(UTC),
        traits=Traits(),
    )
