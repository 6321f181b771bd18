"""Feedback: judge an answer or a passage, look at what came of it, decide what is suspicious."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from google.protobuf.timestamp_pb2 import Timestamp
from gyre.feedback.v1 import feedback_pb2 as pb
from gyre.feedback.v1 import service_pb2 as wire
from gyre.feedback.v1.service_pb2_grpc import FeedbackServiceStub

from gyre_client.channels import Channels
from gyre_client.errors import raising
from gyre_client.judgements import Features, Feedback, Metric, Score, Value, value_message
from gyre_client.settings import ClientSettings

if TYPE_CHECKING:  # the asynchronous stub is a type alone
    from gyre.feedback.v1.service_pb2_grpc import FeedbackServiceAsyncStub

Kind = Literal["prompt", "model", "variant", "chunk", "document", "segment"]
SourceKind = Literal["person", "model", "code"]
RESERVED = ("comment", "correction")
PAGE = 200
FEATURES_TIMEOUT = 200.0  # the first one waits for the feature store's start


class FeedbackClient:
    """Judgements of the caller's tenant. Every method raises GyreError."""

    def __init__(self, channels: Channels, settings: ClientSettings) -> None:
        self._address = settings.feedback_address
        self._metadata = channels.metadata
        self._timeout = settings.timeout
        self._stub: FeedbackServiceAsyncStub = FeedbackServiceStub(channels.to(self._address))
        self._types: dict[str, str] = {}

    async def give(
        self,
        answer_id: str,
        metric: str,
        value: Value,
        *,
        chunk_id: str = "",
        step_id: str = "",
        feedback_id: str = "",
        revision: int = 1,
        rater: str = "",
        source: SourceKind = "person",
        rationale: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Feedback:
        """Kept durably when this returns, whether the answer's record has arrived yet or not.

        feedback_id: made here, so that a retry of this call is no second judgement; give it
        yourself, and a higher revision, to edit. rater: pseudonym of the person who judged.
        """
        category = isinstance(value, str) and await self._type(metric) == "category"
        given = pb.Feedback(
            feedback_id=feedback_id or str(uuid.uuid4()),
            revision=revision,
            target=pb.FeedbackTarget(answer_id=answer_id, step_id=step_id, chunk_id=chunk_id),
            metric=metric,
            value=value_message(value, category=category),
            source=pb.FeedbackSource(
                kind=pb.SourceKind.Value(f"SOURCE_KIND_{source.upper()}"), rater=rater
            ),
            rationale=rationale,
            metadata=metadata or {},
        )
        with raising(self._address):
            reply = await self._stub.SubmitFeedback(
                wire.SubmitFeedbackRequest(feedback=given),
                metadata=self._metadata,
                timeout=self._timeout,
            )
        return Feedback.read(reply.feedback)

    async def withdraw(self, feedback_id: str, *, principal: str = "") -> Feedback:
        """Takes it back; principal: whose, for operators."""
        request = wire.WithdrawFeedbackRequest(feedback_id=feedback_id, principal=principal)
        with raising(self._address):
            reply = await self._stub.WithdrawFeedback(
                request, metadata=self._metadata, timeout=self._timeout
            )
        return Feedback.read(reply.feedback)

    async def list(
        self, *, answer_id: str = "", metric: str = "", state: str = "", prompt: str = ""
    ) -> AsyncIterator[Feedback]:
        """Newest first, page by page."""
        request = wire.ListFeedbackRequest(
            answer_id=answer_id,
            metric=metric,
            state=pb.FeedbackState.Value(f"FEEDBACK_STATE_{(state or 'unspecified').upper()}"),
            prompt=prompt,
            page_size=PAGE,
        )
        while True:
            with raising(self._address):
                reply = await self._stub.ListFeedback(
                    request, metadata=self._metadata, timeout=self._timeout
                )
            for one in reply.feedback:
                yield Feedback.read(one)
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def declare(self, metric: Metric) -> Metric:
        """Declares a metric; the same again changes nothing but its description."""
        with raising(self._address):
            reply = await self._stub.DeclareMetric(
                wire.DeclareMetricRequest(metric=metric.message()),
                metadata=self._metadata,
                timeout=self._timeout,
            )
        return Metric.read(reply.metric)

    async def metrics(self) -> Sequence[Metric]:
        """By name, the reserved ones included."""
        found: list[Metric] = []
        request = wire.ListMetricsRequest(page_size=PAGE)
        while True:
            with raising(self._address):
                reply = await self._stub.ListMetrics(
                    request, metadata=self._metadata, timeout=self._timeout
                )
            found += map(Metric.read, reply.metrics)
            if not reply.next_page_token:
                return found
            request.page_token = reply.next_page_token

    async def scores(
        self, kind: Kind = "prompt", *, entity_id: str = "", metric: str = ""
    ) -> Sequence[Score]:
        """By entity and metric; entity_id may end in `/` for every version of a name."""
        found: list[Score] = []
        request = wire.SummarizeRequest(
            kind=_kind(kind), entity_id=entity_id, metric=metric, page_size=PAGE
        )
        while True:
            with raising(self._address):
                reply = await self._stub.Summarize(
                    request, metadata=self._metadata, timeout=self._timeout
                )
            found += map(Score.read, reply.scores)
            if not reply.next_page_token:
                return found
            request.page_token = reply.next_page_token

    async def features(
        self, kind: Kind, entity_id: str, metric: str, *, as_of: datetime | None = None
    ) -> Features:
        """Now, or as they were known at a time."""
        row = wire.FeatureRow(entity_id=entity_id, metric=metric)
        if as_of is not None:
            stamp = Timestamp()
            stamp.FromDatetime(as_of.astimezone(UTC))
            row.as_of_time.CopyFrom(stamp)
        request = wire.GetFeaturesRequest(kind=_kind(kind), rows=[row])
        with raising(self._address):
            reply = await self._stub.GetFeatures(
                request, metadata=self._metadata, timeout=FEATURES_TIMEOUT
            )
        (found,) = reply.rows
        known = found.HasField("event_time")
        moment = found.event_time.ToDatetime(tzinfo=UTC).astimezone() if known else None
        return Features(entity_id, metric, dict(found.values), moment)

    async def quarantine(self, *, reason: str = "") -> Sequence[Feedback]:
        """Suspicious judgements that wait for a person's word, oldest first."""
        found: list[Feedback] = []
        request = wire.ListQuarantineRequest(reason=reason, page_size=PAGE)
        while True:
            with raising(self._address):
                reply = await self._stub.ListQuarantine(
                    request, metadata=self._metadata, timeout=self._timeout
                )
            found += map(Feedback.read, reply.feedback)
            if not reply.next_page_token:
                return found
            request.page_token = reply.next_page_token

    async def decide(self, judgements: Sequence[Feedback], *, counts: bool) -> int:
        """Lets them count again, or drops them for good; how many were in quarantine."""
        decision = wire.QUARANTINE_DECISION_RELEASE if counts else wire.QUARANTINE_DECISION_DROP
        names = [
            wire.FeedbackName(feedback_id=one.feedback_id, principal=one.principal)
            for one in judgements
        ]
        request = wire.DecideQuarantineRequest(names=names, decision=decision)
        with raising(self._address):
            reply = await self._stub.DecideQuarantine(
                request, metadata=self._metadata, timeout=self._timeout
            )
        return reply.decided_count

    async def _type(self, metric: str) -> str:
        """Of a metric whose value is a text: that, or a category."""
        if metric in RESERVED:
            return "text"
        if metric not in self._types:
            self._types = {one.name: one.type for one in await self.metrics()}
        return self._types.get(metric, "category")


def _kind(kind: Kind) -> wire.EntityKind.ValueType:
    return wire.EntityKind.Value(f"ENTITY_KIND_{kind.upper()}")
