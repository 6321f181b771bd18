"""The gRPC door: one method, one call, one reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import grpc
from gyre.feedback.v1 import service_pb2 as wire
from gyre.feedback.v1.service_pb2_grpc import FeedbackServiceServicer
from gyre_runtime.identity import Principal, current_principal
from gyre_runtime.rpc import RpcFault

from gyre_feedback.domain.errors import Invalid
from gyre_feedback.domain.scores import Entity, EntityKind, Protection
from gyre_feedback.doors.faults import faults, tenant
from gyre_feedback.doors.reviews import ReviewDoor
from gyre_feedback.ports import FeatureQuery, Wanted
from gyre_feedback.use_cases.features import ReadFeatures
from gyre_feedback.use_cases.judging import BrowseFeedback
from gyre_feedback.use_cases.reviewing import ReviewQueue
from gyre_feedback.use_cases.submit import SubmitFeedback
from gyre_feedback.use_cases.transfer import TransferReviews
from gyre_feedback.wire import judgement_from, metric_from, metric_to, state_from
from gyre_feedback.wire.replies import (
    features_to,
    kept_to,
    kind_from,
    score_to,
)

DESCRIPTOR = wire.DESCRIPTOR.services_by_name["FeedbackService"]
ANYBODY = frozenset({"reader", "writer", "reviewer", "operator"})
GIVERS = frozenset({"feedback", "reader", "writer", "reviewer", "operator"})
OPERATORS = frozenset({"operator"})
REVIEWERS = frozenset({"reviewer", "operator"})
ROLES: Mapping[str, frozenset[str]] = {
    "SubmitFeedback": GIVERS,
    "WithdrawFeedback": GIVERS,
    "ListFeedback": ANYBODY,
    "DeclareMetric": frozenset({"writer", "operator"}),
    "ListMetrics": GIVERS,
    "Summarize": ANYBODY,
    "ListQuarantine": OPERATORS,
    "DecideQuarantine": OPERATORS,
    "GetFeatures": ANYBODY,
    "AddReviewItem": frozenset({"writer", "reviewer", "operator"}),
    "NextReviewItem": REVIEWERS,
    "CompleteReview": REVIEWERS,
    "SummarizeReviews": ANYBODY,
    "ExportReviews": REVIEWERS,
    "ImportReviews": OPERATORS,
}

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True)
class Doors:
    """The use cases behind the door."""

    submit: SubmitFeedback
    browse: BrowseFeedback
    features: ReadFeatures
    queue: ReviewQueue
    transfer: TransferReviews
    protection: Protection


class FeedbackServicer(ReviewDoor, FeedbackServiceServicer):
    """Tenant and caller from the credential, never from a field."""

    def __init__(self, doors: Doors) -> None:
        super().__init__(doors.queue, doors.transfer)
        self._doors = doors

    async def SubmitFeedback(
        self, request: wire.SubmitFeedbackRequest, context: Context
    ) -> wire.SubmitFeedbackResponse:
        who = current_principal()
        with faults():
            kept = await self._doors.submit.submit(
                who.tenant, who.name, judgement_from(request.feedback), vouched=who.may(REVIEWERS)
            )
        return wire.SubmitFeedbackResponse(feedback=kept_to(kept))

    async def WithdrawFeedback(
        self, request: wire.WithdrawFeedbackRequest, context: Context
    ) -> wire.WithdrawFeedbackResponse:
        who = current_principal()
        giver = _giver(who, request.principal)
        with faults():
            kept = await self._doors.submit.withdraw(who.tenant, giver, request.feedback_id)
        return wire.WithdrawFeedbackResponse(feedback=kept_to(kept))

    async def ListFeedback(
        self, request: wire.ListFeedbackRequest, context: Context
    ) -> wire.ListFeedbackResponse:
        with faults():
            wanted = Wanted(
                answer_id=request.answer_id,
                metric=request.metric,
                state=state_from(request.state),
                principal=request.principal,
                prompt=request.prompt,
            )
            page, following = await self._doors.browse.list(
                tenant(), wanted, request.page_size, request.page_token
            )
        return wire.ListFeedbackResponse(feedback=map(kept_to, page), next_page_token=following)

    async def DeclareMetric(
        self, request: wire.DeclareMetricRequest, context: Context
    ) -> wire.DeclareMetricResponse:
        with faults():
            metric = await self._doors.browse.declare(tenant(), metric_from(request.metric))
        return wire.DeclareMetricResponse(metric=metric_to(metric))

    async def ListMetrics(
        self, request: wire.ListMetricsRequest, context: Context
    ) -> wire.ListMetricsResponse:
        with faults():
            page, following = await self._doors.browse.metrics(
                tenant(), request.page_size, request.page_token
            )
        return wire.ListMetricsResponse(metrics=map(metric_to, page), next_page_token=following)

    async def Summarize(
        self, request: wire.SummarizeRequest, context: Context
    ) -> wire.SummarizeResponse:
        with faults():
            page, following = await self._doors.browse.scores(
                tenant(),
                kind_from(request.kind),
                request.entity_id,
                request.metric,
                request.page_size,
                request.page_token,
            )
        cap = self._doors.protection.cap
        return wire.SummarizeResponse(
            scores=[score_to(entity, score, cap) for entity, score in page],
            next_page_token=following,
        )

    async def ListQuarantine(
        self, request: wire.ListQuarantineRequest, context: Context
    ) -> wire.ListQuarantineResponse:
        with faults():
            page, following = await self._doors.browse.quarantine(
                tenant(), request.reason, request.page_size, request.page_token
            )
        return wire.ListQuarantineResponse(feedback=map(kept_to, page), next_page_token=following)

    async def DecideQuarantine(
        self, request: wire.DecideQuarantineRequest, context: Context
    ) -> wire.DecideQuarantineResponse:
        who = current_principal()
        names = [(one.principal, one.feedback_id) for one in request.names]
        with faults():
            counts = _counts(request.decision)
            decided = await self._doors.browse.decide(who.tenant, names, who.name, counts=counts)
        return wire.DecideQuarantineResponse(decided_count=decided)

    async def GetFeatures(
        self, request: wire.GetFeaturesRequest, context: Context
    ) -> wire.GetFeaturesResponse:
        with faults():
            kind = kind_from(request.kind)
            queries = [_query(tenant(), kind, row) for row in request.rows]
            found = await self._doors.features.read(kind, queries)
        pairs = zip(queries, found, strict=True)
        return wire.GetFeaturesResponse(rows=[features_to(query, row) for query, row in pairs])


def _giver(who: Principal, wanted: str) -> str:
    if wanted and wanted != who.name and not who.may(OPERATORS):
        raise RpcFault(
            grpc.StatusCode.PERMISSION_DENIED, "only an operator takes back what others gave"
        )
    return wanted or who.name


def _counts(decision: wire.QuarantineDecision.ValueType) -> bool:
    known = {wire.QUARANTINE_DECISION_RELEASE: True, wire.QUARANTINE_DECISION_DROP: False}
    if decision not in known:
        raise Invalid({"decision": "must be RELEASE or DROP"})
    return known[decision]


def _query(tenant: str, kind: EntityKind, row: wire.FeatureRow) -> FeatureQuery:
    entity = Entity(tenant, kind, row.entity_id, row.metric)
    if not row.HasField("as_of_time"):
        return FeatureQuery(entity)
    return FeatureQuery(entity, row.as_of_time.ToDatetime(UTC).timestamp())
