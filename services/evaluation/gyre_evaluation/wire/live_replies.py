"""Windows, alerts and traffic as the door answers with them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from gyre.evaluation.v1 import scores_pb2
from gyre.evaluation.v1 import service_pb2 as wire

from gyre_evaluation.domain.alerts import KnownAlert
from gyre_evaluation.domain.drift.traffic import Check, Plan
from gyre_evaluation.domain.metrics.metric import Metric
from gyre_evaluation.domain.windows import EVERYTHING, Group, GroupKind, Moments
from gyre_evaluation.use_cases.browsing import WatchedTraffic, WindowSummary
from gyre_evaluation.wire.alerts import alert_raised, drift_finding, stamp


def window(summary: WindowSummary, known: Mapping[str, Metric]) -> wire.Window:
    """answers: those that the metric with the most scores has."""
    return wire.Window(
        start_time=stamp(summary.start),
        end_time=stamp(summary.end),
        slice=_slice(summary.group),
        answers=max((one.count for one in summary.metrics.values()), default=0),
        metrics=[
            _metric(name, moments, known.get(name))
            for name, moments in sorted(summary.metrics.items())
        ],
    )


def alert(known: KnownAlert) -> wire.Alert:
    seen = known.acknowledged
    return wire.Alert(
        raised=alert_raised(known.alert),
        acknowledged_by=seen.principal if seen else "",
        acknowledge_time=stamp(seen.time) if seen else None,
        comment=seen.comment if seen else "",
        repeats=known.repeats,
    )


def traffic(watched: WatchedTraffic, plan: Plan) -> wire.WatchedTraffic:
    return wire.WatchedTraffic(
        scope=watched.progress.traffic.scope,
        answers=watched.progress.count,
        reference_size=plan.reference,
        window_size=plan.window,
        checks=map(_check, watched.checks),
    )


def page_token(alerts: Sequence[KnownAlert], limit: int) -> str:
    """Of the page after; empty at the end."""
    if len(alerts) < limit:
        return ""
    last = alerts[-1].alert
    return json.dumps([last.raise_time.timestamp(), last.alert_id])


def place_of(token: str) -> tuple[float, str] | None:
    """None at the beginning. Raises ValueError."""
    if not token:
        return None
    time, alert_id = json.loads(token)
    return float(time), str(alert_id)


def _metric(name: str, moments: Moments, metric: Metric | None) -> scores_pb2.MetricSummary:
    low, high = moments.interval()
    finite = math.isfinite(low)
    direction = metric.direction if metric else "unspecified"
    return scores_pb2.MetricSummary(
        metric=name,
        count=moments.count,
        mean=moments.mean,
        low=low if finite else None,
        high=high if finite else None,
        direction=scores_pb2.Direction.Value(f"DIRECTION_{direction.upper()}"),
    )


def _slice(group: Group) -> dict[str, str]:
    if group == EVERYTHING:
        return {}
    if group.kind is GroupKind.SLICE:
        return {group.key: group.value.removeprefix(f"{group.key}=")}
    return {str(group.kind): group.value}


def _check(check: Check) -> wire.DriftCheck:
    return wire.DriftCheck(
        window=check.window,
        window_start=stamp(check.start),
        window_end=stamp(check.end),
        findings=map(drift_finding, check.findings),
        drifted=check.drifted,
    )
