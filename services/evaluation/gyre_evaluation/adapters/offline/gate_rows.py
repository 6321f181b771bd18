"""Gates as rows and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from gyre_evaluation.domain.comparison import Interval
from gyre_evaluation.domain.gates.checks import Check, GateVerdict
from gyre_evaluation.domain.gates.gate import Approval, Declared, Gate, GateState, Part
from gyre_evaluation.domain.runs import target_from
from gyre_evaluation.wire.policies import policy_from


def new_gate(gate: Gate, creation_key: str) -> dict[str, Any]:
    return {
        "gate_id": gate.gate_id,
        "tenant": gate.tenant,
        "creation_key": creation_key or None,
        "workload": gate.policy.workload,
        "policy_version": gate.declared.version,
        "plan": {
            "author": gate.author,
            "label": gate.label,
            "cause": gate.cause,
            "candidate": gate.candidate.as_json(),
            "champion": gate.champion.as_json(),
        },
        "state": gate.state.value,
        "verdict": "",
        "progress": parts_of(gate),
        "checks": [],
        "approvals": [],
        "create_time": gate.create_time.timestamp(),
    }


def parts_of(gate: Gate) -> dict[str, Any]:
    return {"parts": [asdict(one) for one in gate.parts], "missing": checks_of(gate.missing)}


def checks_of(checks: Sequence[Check]) -> list[dict[str, Any]]:
    return [{**asdict(one), "verdict": one.verdict.value} for one in checks]


def declared_from(tenant: str, version: int, yaml: str, author: str, time: float) -> Declared:
    moment = datetime.fromtimestamp(time, UTC)
    return Declared(tenant, policy_from(yaml), version, yaml, author, moment)


def gate_from(row: Any) -> Gate:
    """row: of `gates`, with the policy that it stands under."""
    plan = row.plan
    return Gate(
        gate_id=row.gate_id,
        tenant=row.tenant,
        author=plan["author"],
        label=plan["label"],
        cause=plan.get("cause", ""),  # of before there was one
        declared=declared_from(
            row.tenant, row.policy_version, row.yaml, row.declared_by, row.declare_time
        ),
        candidate=target_from(plan["candidate"]),
        champion=target_from(plan["champion"]),
        create_time=datetime.fromtimestamp(row.create_time, UTC),
        state=GateState(row.state),
        verdict=GateVerdict(row.verdict) if row.verdict else None,
        parts=tuple(Part(**one) for one in row.progress["parts"]),
        missing=tuple(map(_check, row.progress["missing"])),
        checks=tuple(map(_check, row.checks)),
        approvals=tuple(map(_approval, row.approvals)),
        end_time=datetime.fromtimestamp(row.end_time, UTC) if row.end_time else None,
    )


def _check(given: Mapping[str, Any]) -> Check:
    interval = Interval(**given["interval"]) if given["interval"] else None
    fields = {
        **given,
        "verdict": GateVerdict(given["verdict"]),
        "interval": interval,
        "shown": tuple(given["shown"]),
    }
    return Check(**fields)


def _approval(given: Mapping[str, Any]) -> Approval:
    moment = datetime.fromtimestamp(given["time"], UTC)
    return Approval(given["by"], moment, given["granted"], given["reason"])
