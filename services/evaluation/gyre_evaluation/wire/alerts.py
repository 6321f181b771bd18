"""Alerts and drift as they are said."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from gyre.evaluation.v1 import events_pb2
from gyre.evaluation.v1.events_pb2 import (
    AlertAcknowledged,
    AlertRaised,
    DriftDetected,
    DriftFinding,
)

from gyre_evaluation.domain.alerts import Acknowledgement, Alert, AlertKind, Severity
from gyre_evaluation.domain.drift.findings import Finding


def alert_raised(alert: Alert) -> AlertRaised:
    return AlertRaised(
        alert_id=alert.alert_id,
        kind=events_pb2.AlertKind.Value(f"ALERT_KIND_{alert.kind.upper()}"),
        tenant=alert.tenant,
        principal=alert.principal,
        severity=events_pb2.AlertSeverity.Value(f"ALERT_SEVERITY_{alert.severity.upper()}"),
        until=stamp(alert.until) if alert.until else None,
        detail=alert.detail,
        answer_ids=alert.answer_ids,
        raise_time=stamp(alert.raise_time),
        metric=alert.metric,
        slice=alert.slice,
        end_user=alert.end_user,
    )


def alert_from(event: AlertRaised, tenant: str) -> Alert:
    kind = events_pb2.AlertKind.Name(event.kind).removeprefix("ALERT_KIND_").lower()
    severity = events_pb2.AlertSeverity.Name(event.severity).removeprefix("ALERT_SEVERITY_")
    return Alert(
        tenant=tenant,
        kind=AlertKind(kind),
        severity=Severity(severity.lower()),
        raise_time=event.raise_time.ToDatetime(UTC),
        detail=event.detail,
        principal=event.principal,
        end_user=event.end_user,
        until=event.until.ToDatetime(UTC) if event.HasField("until") else None,
        metric=event.metric,
        slice=event.slice,
        answer_ids=tuple(event.answer_ids),
    )


def alert_acknowledged(alert: Alert, by: Acknowledgement) -> AlertAcknowledged:
    return AlertAcknowledged(
        alert_id=alert.alert_id,
        kind=events_pb2.AlertKind.Value(f"ALERT_KIND_{alert.kind.upper()}"),
        principal=alert.principal,
        end_user=alert.end_user,
        acknowledged_by=by.principal,
        acknowledge_time=stamp(by.time),
    )


def drift_detected(
    drift_id: str,
    scope: str,
    period: tuple[datetime, datetime],
    sizes: tuple[int, int],
    findings: Sequence[Finding],
) -> DriftDetected:
    """sizes: answers of the reference and of the window."""
    return DriftDetected(
        drift_id=drift_id,
        scope=scope,
        window_start=stamp(period[0]),
        window_end=stamp(period[1]),
        reference_count=sizes[0],
        window_count=sizes[1],
        findings=map(drift_finding, findings),
    )


def drift_finding(finding: Finding) -> DriftFinding:
    return DriftFinding(
        feature=finding.feature,
        test=finding.test,
        statistic=finding.statistic,
        p_value=finding.p_value,
        reference=finding.reference,
        current=finding.current,
        detail=finding.detail,
        example_answer_ids=finding.examples,
    )


def stamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message
