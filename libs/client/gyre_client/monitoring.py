"""Live answers: scores by window, traffic that is watched for drift, alerts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from gyre.evaluation.v1 import events_pb2, scores_pb2, service_pb2
from gyre.evaluation.v1.service_pb2_grpc import EvaluationServiceStub

from gyre_client.channels import Channels
from gyre_client.errors import raising
from gyre_client.settings import ClientSettings

if TYPE_CHECKING:  # the asynchronous stub is a type alone
    from gyre.evaluation.v1.service_pb2_grpc import EvaluationServiceAsyncStub

PAGE = 200


@dataclass(frozen=True)
class LiveMetric:
    """One metric in one window; low and high: 95 % interval of the mean, None below two scores."""

    metric: str
    count: int
    mean: float
    low: float | None
    high: float | None

    @classmethod
    def read(cls, message: scores_pb2.MetricSummary) -> Self:
        low = message.low if message.HasField("low") else None
        high = message.high if message.HasField("high") else None
        return cls(message.metric, message.count, message.mean, low, high)


@dataclass(frozen=True)
class LiveWindow:
    """Scores of answers that were asked in a window; slice: empty for all of them."""

    start: datetime
    end: datetime
    slice: Mapping[str, str]
    metrics: Sequence[LiveMetric]

    @classmethod
    def read(cls, message: service_pb2.Window) -> Self:
        return cls(
            message.start_time.ToDatetime(UTC),
            message.end_time.ToDatetime(UTC),
            dict(message.slice),
            tuple(map(LiveMetric.read, message.metrics)),
        )


@dataclass(frozen=True)
class DriftFinding:
    """One test of a window; p_value: corrected for all tests of it."""

    feature: str
    test: str
    p_value: float
    reference: float
    current: float
    detail: str
    answer_ids: Sequence[str]

    @classmethod
    def read(cls, message: events_pb2.DriftFinding) -> Self:
        return cls(
            message.feature,
            message.test,
            message.p_value,
            message.reference,
            message.current,
            message.detail,
            tuple(message.example_answer_ids),
        )


@dataclass(frozen=True)
class DriftCheck:
    """One window, compared with the reference; findings: all tests, strongest first."""

    window: int
    start: datetime
    end: datetime
    drifted: bool
    findings: Sequence[DriftFinding]

    @classmethod
    def read(cls, message: service_pb2.DriftCheck) -> Self:
        return cls(
            message.window,
            message.window_start.ToDatetime(UTC),
            message.window_end.ToDatetime(UTC),
            message.drifted,
            tuple(map(DriftFinding.read, message.findings)),
        )


@dataclass(frozen=True)
class WatchedTraffic:
    """Answers that are compared with their own past; checks: newest first."""

    scope: str
    answers: int
    reference_size: int
    window_size: int
    checks: Sequence[DriftCheck]

    @classmethod
    def read(cls, message: service_pb2.WatchedTraffic) -> Self:
        return cls(
            message.scope,
            message.answers,
            message.reference_size,
            message.window_size,
            tuple(map(DriftCheck.read, message.checks)),
        )


@dataclass(frozen=True)
class Alert:
    """Something needs attention. until: when measures against the principal end, None where there
    are none. repeats: how often its cause came again. acknowledged_by: empty while nobody has."""

    alert_id: str
    kind: str
    severity: str
    time: datetime
    detail: str
    principal: str
    end_user: str
    until: datetime | None
    metric: str
    slice: str
    answer_ids: Sequence[str]
    repeats: int
    acknowledged_by: str
    comment: str

    @classmethod
    def read(cls, message: service_pb2.Alert) -> Self:
        raised = message.raised
        kind = events_pb2.AlertKind.Name(raised.kind).removeprefix("ALERT_KIND_")
        severity = events_pb2.AlertSeverity.Name(raised.severity).removeprefix("ALERT_SEVERITY_")
        return cls(
            alert_id=raised.alert_id,
            kind=kind.lower(),
            severity=severity.lower(),
            time=raised.raise_time.ToDatetime(UTC),
            detail=raised.detail,
            principal=raised.principal,
            end_user=raised.end_user,
            until=raised.until.ToDatetime(UTC) if raised.HasField("until") else None,
            metric=raised.metric,
            slice=raised.slice,
            answer_ids=tuple(raised.answer_ids),
            repeats=message.repeats,
            acknowledged_by=message.acknowledged_by,
            comment=message.comment,
        )


class Monitoring:
    """What live answers come to. Every method raises GyreError."""

    def __init__(self, channels: Channels, settings: ClientSettings) -> None:
        self._channels = channels
        self._settings = settings

    async def windows(
        self,
        *,
        group_by: str = "",
        metrics: Sequence[str] = (),
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> AsyncIterator[LiveWindow]:
        """Oldest first, of the last day where no time is given. group_by: `prompt`, `model`,
        `variant`, `collection`, `language` or the key of a label, e.g. `segment`."""
        request = service_pb2.SummarizeWindowsRequest(
            metrics=metrics, group_by=[group_by] if group_by else [], page_size=PAGE
        )
        if start is not None:
            request.start_time.FromDatetime(start)
        if end is not None:
            request.end_time.FromDatetime(end)
        while True:
            with raising(self._settings.evaluation_address):
                reply = await self._stub.SummarizeWindows(
                    request, metadata=self._channels.metadata, timeout=self._settings.timeout
                )
            for window in reply.windows:
                yield LiveWindow.read(window)
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def alerts(self, *, open_only: bool = False) -> AsyncIterator[Alert]:
        """Newest first."""
        request = service_pb2.ListAlertsRequest(open_only=open_only, page_size=PAGE)
        while True:
            with raising(self._settings.evaluation_address):
                reply = await self._stub.ListAlerts(
                    request, metadata=self._channels.metadata, timeout=self._settings.timeout
                )
            for alert in reply.alerts:
                yield Alert.read(alert)
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def acknowledge(self, alert_id: str, comment: str = "") -> Alert:
        """Somebody has seen to it; a caller that it holds is let go. The first one stays."""
        request = service_pb2.AcknowledgeAlertRequest(alert_id=alert_id, comment=comment)
        with raising(self._settings.evaluation_address):
            reply = await self._stub.AcknowledgeAlert(
                request, metadata=self._channels.metadata, timeout=self._settings.timeout
            )
        return Alert.read(reply.alert)

    async def traffic(self, scope: str = "", *, windows: int = 10) -> list[WatchedTraffic]:
        """By scope, with so many of the newest windows; empty scope means all."""
        request = service_pb2.ListTrafficRequest(scope=scope, windows=windows)
        with raising(self._settings.evaluation_address):
            reply = await self._stub.ListTraffic(
                request, metadata=self._channels.metadata, timeout=self._settings.timeout
            )
        return [WatchedTraffic.read(one) for one in reply.traffic]

    async def reset_reference(self, scope: str) -> None:
        """What comes from now on is the new normal of this traffic."""
        request = service_pb2.ResetReferenceRequest(scope=scope)
        with raising(self._settings.evaluation_address):
            await self._stub.ResetReference(
                request, metadata=self._channels.metadata, timeout=self._settings.timeout
            )

    @property
    def _stub(self) -> EvaluationServiceAsyncStub:
        return EvaluationServiceStub(self._channels.to(self._settings.evaluation_address))
