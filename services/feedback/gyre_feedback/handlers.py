"""The bus door: an event turns into one call.

Who judged is what the publisher calls itself (`ce-source`), marked as such: the bus lets a
publisher onto its tenant's subject, and no more is known of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from gyre.evaluation.v1.events_pb2 import AnswerEvaluated
from gyre.evaluation.v1.scores_pb2 import SCORE_SOURCE_JUDGE, MetricScore
from gyre.feedback.v1.events_pb2 import FeedbackSubmitted
from gyre.inference.v1.events_pb2 import AnswerFailed, AnswerGenerated, ErasureRequested
from gyre_runtime.bus import Delivery, Listeners, PermanentError
from gyre_runtime.erasing import Erasure
from gyre_runtime.telemetry import counter

from gyre_feedback.domain.errors import Missing, Refused
from gyre_feedback.ports import Judgements
from gyre_feedback.use_cases.reviewing import AutomaticScore, ReviewQueue
from gyre_feedback.use_cases.submit import MeetAnswers, SubmitFeedback
from gyre_feedback.wire import answer_came, judgement_from

SUBMITTED = counter("feedback_submitted", "Judgements heard, by what they came to.", ["state"])
JOINED = counter("feedback_joined", "Judgements that had waited for their answer.")
OWN = "gyre/feedback"
PRINCIPAL_LENGTH = 128
PATIENT_ATTEMPTS = 6


def listeners(
    submit: SubmitFeedback,
    meet: MeetAnswers,
    queue: ReviewQueue,
    judgements: Judgements,
    *,
    at_once: int,
    reviewed: frozenset[str],
    forget: Callable[[Erasure], Awaitable[None]],
) -> Listeners:
    """What this service hears. reviewed: rule metrics whose low scores are looked at. forget: notes
    whom."""
    heard = Listeners("feedback")

    async def given_up(event: FeedbackSubmitted, delivery: Delivery, detail: str) -> None:
        envelope = delivery.envelope
        event.feedback.ClearField("give_time")  # the one part that cannot always be read
        judgement = judgement_from(event.feedback, withdrawn=event.withdrawn)
        who = principal_of(envelope.source)
        await submit.reject(delivery.tenant, who, judgement, envelope.event_id, detail)

    @heard.on(FeedbackSubmitted, concurrency=at_once, given_up=given_up)
    async def on_feedback_submitted(event: FeedbackSubmitted, delivery: Delivery) -> None:
        envelope, tenant = delivery.envelope, delivery.tenant
        place = event.feedback.target.answer_id or event.feedback.target.chain_run_id
        own = envelope.source == OWN
        if own and await judgements.wait_again(tenant, place, envelope.event_id):
            return  # the dead letter of one that is kept here already
        try:
            judgement = judgement_from(event.feedback, withdrawn=event.withdrawn)
            if not judgement.feedback_id:
                raise Refused("invalid", "feedback_id is required on the bus")
            if judgement.give_time is None:  # it may come again long after it was said
                judgement = replace(judgement, give_time=envelope.time)
            kept = await submit.submit(tenant, principal_of(envelope.source), judgement)
        except Refused as refused:
            SUBMITTED.labels("refused").inc()
            raise PermanentError(refused.reason, refused.detail) from refused
        SUBMITTED.labels(kept.state).inc()

    @heard.on(AnswerGenerated, concurrency=at_once)
    async def on_answer_generated(event: AnswerGenerated, delivery: Delivery) -> None:
        JOINED.inc(await meet.meet(delivery.tenant, answer_came(event.record)))

    @heard.on(AnswerFailed, concurrency=8)
    async def on_answer_failed(event: AnswerFailed, delivery: Delivery) -> None:
        JOINED.inc(await meet.meet(delivery.tenant, answer_came(event.record, failed=True)))

    @heard.on(AnswerEvaluated, concurrency=8)
    async def on_answer_evaluated(event: AnswerEvaluated, delivery: Delivery) -> None:
        scores = [_score(one) for one in event.scores if _counts(one, reviewed)]
        try:
            await queue.consider(delivery.tenant, event.answer_id, scores)
        except Missing:
            if delivery.attempt < PATIENT_ATTEMPTS:  # the answer itself is on its way
                raise

    @heard.on(ErasureRequested)
    async def on_erasure_requested(event: ErasureRequested, delivery: Delivery) -> None:
        until = event.request_time.seconds + event.request_time.nanos / 1e9
        await forget(Erasure(event.erasure_id, delivery.tenant, event.end_user, until))

    return heard


def principal_of(source: str) -> str:
    """Never to be taken for an authenticated name."""
    name = "".join(one if one.isprintable() else "_" for one in source)
    return f"bus:{name or 'unknown'}"[:PRINCIPAL_LENGTH]


def _counts(score: MetricScore, reviewed: frozenset[str]) -> bool:
    """Of a rule, only metrics that are known to be goodness; a judge's always are."""
    named = score.source == SCORE_SOURCE_JUDGE or score.metric in reviewed
    return named and score.HasField("score") and 0 <= score.score <= 1


def _score(score: MetricScore) -> AutomaticScore:
    confidence = score.confidence if score.HasField("confidence") else None
    judged = score.source == SCORE_SOURCE_JUDGE
    return AutomaticScore(score.metric, score.score, judged, confidence)
