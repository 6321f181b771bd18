"""Gates as messages and back, and what is said of them."""

from __future__ import annotations

from datetime import UTC, datetime

import uuid_utils
from gyre.evaluation.v1 import events_pb2, scores_pb2
from gyre.evaluation.v1 import gate_pb2 as wire

from gyre_evaluation.domain.errors import RequestInvalid
from gyre_evaluation.domain.gates.awaited import Awaited
from gyre_evaluation.domain.gates.checks import Check, GateVerdict
from gyre_evaluation.domain.gates.gate import Approval, Declared, Gate
from gyre_evaluation.domain.runs import Target
from gyre_evaluation.wire.policies import policy_from
from gyre_evaluation.wire.requests import Caller
from gyre_evaluation.wire.runs import time_to
from gyre_evaluation.wire.scores import target_from, target_to

MOST_REASONS = 20


def declared_from(text: str, caller: Caller) -> Declared:
    """Not kept yet. Raises `RequestInvalid`."""
    return Declared(caller.tenant, policy_from(text), 0, text, caller.name, datetime.now(UTC))


def declared_to(declared: Declared) -> wire.GatePolicy:
    return wire.GatePolicy(
        workload=declared.policy.workload,
        version=declared.version,
        yaml=declared.yaml,
        author=declared.author,
        create_time=time_to(declared.create_time),
    )


def gate_from(request: wire.StartGateRequest, caller: Caller, declared: Declared) -> Gate:
    """Raises `RequestInvalid`."""
    return Gate(
        gate_id=str(uuid_utils.uuid7()),
        tenant=caller.tenant,
        author=caller.name,
        declared=declared,
        candidate=_target("candidate", request.candidate),
        champion=_target("champion", request.champion),
        create_time=datetime.now(UTC),
        label=request.label,
    )


def _target(field: str, given: scores_pb2.Target) -> Target:
    try:
        return target_from(given)
    except ValueError as error:
        raise RequestInvalid({f"{field}.kind": "give answer, generate or search"}) from error


def gate_to(gate: Gate, *, checks: bool = True) -> wire.Gate:
    return wire.Gate(
        gate_id=gate.gate_id,
        workload=gate.policy.workload,
        policy_version=gate.declared.version,
        candidate=target_to(gate.candidate),
        champion=target_to(gate.champion),
        state=wire.GateState.Value(f"GATE_STATE_{gate.state.upper()}"),
        verdict=verdict_to(gate.verdict),
        may_proceed=gate.may_proceed,
        needs_approval=gate.policy.approval,
        approvals=map(_approval_to, gate.approvals),
        checks=map(check_to, gate.checks if checks else ()),
        examples=gate.examples,
        done=gate.done,
        run_ids=[one for part in gate.parts for one in part.run_ids],
        label=gate.label,
        author=gate.author,
        create_time=time_to(gate.create_time),
        end_time=time_to(gate.end_time) if gate.end_time else None,
        cause=gate.cause,
    )


def verdict_to(verdict: GateVerdict | None) -> wire.GateVerdict.ValueType:
    return wire.GateVerdict.Value(f"GATE_VERDICT_{verdict.upper() if verdict else 'UNSPECIFIED'}")


def check_to(check: Check) -> wire.GateCheck:
    interval = check.interval
    return wire.GateCheck(
        part=check.part,
        name=check.name,
        slice=check.slice,
        verdict=verdict_to(check.verdict),
        detail=check.detail,
        pairs=check.pairs,
        champion=check.champion,
        candidate=check.candidate,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
    )


def _approval_to(approval: Approval) -> wire.GateApproval:
    return wire.GateApproval(
        principal=approval.by,
        time=time_to(approval.time),
        granted=approval.granted,
        reason=approval.reason,
    )


def gate_decided(gate: Gate, time: datetime) -> events_pb2.GateDecided:
    reasons = [
        " ".join(filter(None, (f"{one.part}:", one.name, one.slice, one.detail)))
        for one in gate.checks
        if one.verdict is not GateVerdict.PASS
    ]
    return events_pb2.GateDecided(
        gate_id=gate.gate_id,
        workload=gate.policy.workload,
        policy_version=gate.declared.version,
        candidate=target_to(gate.candidate),
        champion=target_to(gate.champion),
        verdict=gate.verdict or "",
        reasons=reasons[:MOST_REASONS],
        needs_approval=gate.policy.approval,
        decide_time=time_to(time),
        cause=gate.cause,
    )


def gate_cancelled(gate: Gate, time: datetime) -> events_pb2.GateDecided:
    """To what waits for it: there will be no evidence."""
    event = gate_decided(gate, time)
    event.verdict = GateVerdict.INSUFFICIENT
    event.reasons[:] = ["the gate was cancelled"]
    return event


def awaited_refused(awaited: Awaited, reason: str, time: datetime) -> events_pb2.GateDecided:
    """There is no gate."""
    return events_pb2.GateDecided(
        workload=awaited.workload,
        candidate=target_to(awaited.candidate),
        champion=target_to(awaited.champion),
        verdict=GateVerdict.INSUFFICIENT,
        reasons=[reason],
        decide_time=time_to(time),
        cause=awaited.cause,
    )


def gate_approved(gate: Gate, approval: Approval) -> events_pb2.GateApproved:
    return events_pb2.GateApproved(
        gate_id=gate.gate_id,
        workload=gate.policy.workload,
        candidate=target_to(gate.candidate),
        granted=approval.granted,
        principal=approval.by,
        reason=approval.reason,
        approve_time=time_to(approval.time),
        cause=gate.cause,
    )
