"""Rollouts as messages and back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from gyre.inference.v1 import rollout_pb2, service_pb2

from gyre_inference.domain.experiments import StickyBy
from gyre_inference.domain.faults import InvalidRequest
from gyre_inference.domain.rollouts import (
    Change,
    Evidence,
    MetricEvidence,
    Plan,
    Rollout,
    RolloutKind,
)
from gyre_inference.use_cases.rollouts.managing import Wanted


def rollout(one: Rollout, evidence: Evidence | None = None) -> rollout_pb2.Rollout:
    """evidence: what is known now."""
    message = rollout_pb2.Rollout(
        rollout_id=one.rollout_id,
        kind=_enum("ROLLOUT_KIND", one.kind.value),
        name=one.name,
        champion=one.champion,
        candidate=one.candidate,
        workload=one.workload,
        model_uri=one.model_uri,
        plan=_plan(one.plan),
        state=_enum("ROLLOUT_STATE", one.state.value),
        step=one.step,
        weight=one.weight,
        author=one.author,
        message=one.message,
        changes=map(_change, one.changes),
        number=one.number,
        attended=one.attended,
        model=one.model,
        gate_id=one.gate_id,
        evidence=None if evidence is None else _evidence(evidence),
    )
    message.start_time.FromDatetime(one.start)
    if one.slow_after is not None:
        message.slow_after.FromTimedelta(timedelta(seconds=one.slow_after))
    return message


def wanted_of(request: service_pb2.StartRolloutRequest, defaults: Plan) -> Wanted:
    """Raises `InvalidRequest`."""
    kind = rollout_pb2.RolloutKind.Name(request.kind).removeprefix("ROLLOUT_KIND_")
    if kind not in {one.value for one in RolloutKind}:
        raise InvalidRequest({"kind": "must be MODEL or PROMPT"})
    return Wanted(
        kind=RolloutKind(kind),
        name=request.name,
        candidate=request.candidate,
        workload=request.workload or "answer",
        model_uri=request.model_uri,
        plan=_plan_of(request.plan, defaults),
        message=request.message,
        model=request.model,
        creation_key=request.creation_key,
    )


def _plan_of(message: rollout_pb2.RolloutPlan, defaults: Plan) -> Plan:
    sticky_by = message.sticky_by or defaults.sticky_by.value
    if sticky_by not in {one.value for one in StickyBy}:
        raise InvalidRequest({"plan.sticky_by": "must be `conversation` or `end_user`"})
    keep = message.keep_time.ToTimedelta().total_seconds()
    shares = message.HasField("shadow_share"), message.HasField("shadow_pairs")
    return Plan(
        steps=tuple(message.steps) or defaults.steps,
        metrics=tuple(message.metrics) or defaults.metrics,
        minimum=message.minimum or defaults.minimum,
        margin=message.margin or defaults.margin,
        false_alarms=message.false_alarms or defaults.false_alarms,
        wrong_promotions=message.wrong_promotions or defaults.wrong_promotions,
        shadow_share=message.shadow_share if shares[0] else defaults.shadow_share,
        shadow_pairs=message.shadow_pairs if shares[1] else defaults.shadow_pairs,
        attended=message.attended,
        keep=keep if message.HasField("keep_time") else defaults.keep,
        sticky_by=StickyBy(sticky_by),
        gated=message.gated or defaults.gated,
    )


def _plan(plan: Plan) -> rollout_pb2.RolloutPlan:
    message = rollout_pb2.RolloutPlan(
        steps=plan.steps,
        metrics=plan.metrics,
        minimum=plan.minimum,
        margin=plan.margin,
        false_alarms=plan.false_alarms,
        wrong_promotions=plan.wrong_promotions,
        shadow_share=plan.shadow_share,
        shadow_pairs=plan.shadow_pairs,
        attended=plan.attended,
        sticky_by=plan.sticky_by.value,
        gated=plan.gated,
    )
    message.keep_time.FromTimedelta(timedelta(seconds=plan.keep))
    return message


def _change(change: Change) -> rollout_pb2.RolloutChange:
    message = rollout_pb2.RolloutChange(
        from_state=_enum("ROLLOUT_STATE", change.from_state.value),
        to_state=_enum("ROLLOUT_STATE", change.to_state.value),
        step=change.step,
        weight=change.weight,
        reason=change.reason,
        author=change.author,
        evidence=None if change.evidence is None else _evidence(change.evidence),
    )
    message.change_time.FromDatetime(change.time)
    return message


def _evidence(evidence: Evidence) -> rollout_pb2.RolloutEvidence:
    return rollout_pb2.RolloutEvidence(
        state=_enum("ROLLOUT_STATE", evidence.state.value),
        step=evidence.step,
        metrics=map(_metric, evidence.metrics),
        verdict=_enum("ROLLOUT_VERDICT", evidence.verdict.value),
    )


def _metric(one: MetricEvidence) -> rollout_pb2.RolloutMetric:
    numbers = {name: value for name, value in vars(one).items() if name != "verdict"}
    verdict = _enum("ROLLOUT_VERDICT", one.verdict.value)
    return rollout_pb2.RolloutMetric(**numbers, verdict=verdict)


def _enum(prefix: str, value: str) -> Any:
    """Names of the domain are the contract's."""
    return _ENUMS[prefix].Value(f"{prefix}_{value}")


_ENUMS: dict[str, Any] = {
    "ROLLOUT_KIND": rollout_pb2.RolloutKind,
    "ROLLOUT_STATE": rollout_pb2.RolloutState,
    "ROLLOUT_VERDICT": rollout_pb2.RolloutVerdict,
}
