"""The bus door: an event turns into one call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gyre.evaluation.v1.events_pb2 import DriftDetected
from gyre.feedback.v1.events_pb2 import (
    FeedbackQuarantined,
    FeedbackRecorded,
    FeedbackReleased,
    FeedbackWithdrawn,
    ReviewCompleted,
)
from gyre.inference.v1.events_pb2 import (
    AnswerGenerated,
    ErasureRequested,
    ModelPromoted,
    ModelRolledBack,
)
from gyre.ingestion.v1.events_pb2 import DocumentChunked, DocumentDeleted
from gyre.retrieval.v1.events_pb2 import IndexSwitched
from gyre_runtime.bus import Delivery, Listeners
from gyre_runtime.erasing import Erasure

from gyre_retraining.use_cases.deciding import DecideOnTrainings
from gyre_retraining.use_cases.hearing import HearSources
from gyre_retraining.use_cases.releasing import FollowReleases
from gyre_retraining.wire import sources as wire
from gyre_retraining.wire.drift import findings_of
from gyre_retraining.wire.releases import index_release, rollout_release


def listeners(
    hear: HearSources,
    decide: DecideOnTrainings,
    releases: FollowReleases,
    forget: Callable[[Erasure], Awaitable[None]],
) -> Listeners:
    """What this service hears. forget: notes whom."""
    heard = Listeners("retraining")

    @heard.on(AnswerGenerated, concurrency=4)
    async def on_answer_generated(event: AnswerGenerated, delivery: Delivery) -> None:
        if not wire.is_a_runs(event.record):
            await hear.answer(delivery.tenant, wire.answer_from(event.record))

    @heard.on(FeedbackRecorded, concurrency=4)
    async def on_feedback_recorded(event: FeedbackRecorded, delivery: Delivery) -> None:
        await hear.judgement(delivery.tenant, wire.judgement_from(event))

    @heard.on(FeedbackWithdrawn)
    async def on_feedback_withdrawn(event: FeedbackWithdrawn, delivery: Delivery) -> None:
        await hear.state(delivery.tenant, wire.withdrawal_from(event))

    @heard.on(FeedbackQuarantined)
    async def on_feedback_quarantined(event: FeedbackQuarantined, delivery: Delivery) -> None:
        await hear.state(delivery.tenant, wire.quarantine_from(event))

    @heard.on(FeedbackReleased)
    async def on_feedback_released(event: FeedbackReleased, delivery: Delivery) -> None:
        await hear.state(delivery.tenant, wire.release_from(event))

    @heard.on(ReviewCompleted)
    async def on_review_completed(event: ReviewCompleted, delivery: Delivery) -> None:
        await hear.review(delivery.tenant, wire.review_from(event))

    @heard.on(DocumentChunked, concurrency=4)
    async def on_document_chunked(event: DocumentChunked, delivery: Delivery) -> None:
        await hear.chunks(delivery.tenant, wire.chunks_from(event))

    @heard.on(DocumentDeleted)
    async def on_document_deleted(event: DocumentDeleted, delivery: Delivery) -> None:
        revision = event.revision
        await hear.deleted(delivery.tenant, revision.document_id, revision.revision)

    @heard.on(DriftDetected)
    async def on_drift_detected(event: DriftDetected, delivery: Delivery) -> None:
        await decide.drifted(delivery.tenant, event.drift_id, event.scope, findings_of(event))

    @heard.on(ModelPromoted, budget=120.0)
    async def on_model_promoted(event: ModelPromoted, delivery: Delivery) -> None:
        if release := rollout_release(delivery.tenant, event.rollout, in_use=True):
            await releases.follow(release)

    @heard.on(ModelRolledBack, budget=120.0)
    async def on_model_rolled_back(event: ModelRolledBack, delivery: Delivery) -> None:
        if release := rollout_release(delivery.tenant, event.rollout, in_use=False):
            await releases.follow(release)

    @heard.on(IndexSwitched, budget=120.0)
    async def on_index_switched(event: IndexSwitched, delivery: Delivery) -> None:
        if release := index_release(delivery.tenant, event):
            await releases.follow(release)

    @heard.on(ErasureRequested)
    async def on_erasure_requested(event: ErasureRequested, delivery: Delivery) -> None:
        until = event.request_time.seconds + event.request_time.nanos / 1e9
        await forget(Erasure(event.erasure_id, delivery.tenant, event.end_user, until))

    return heard
