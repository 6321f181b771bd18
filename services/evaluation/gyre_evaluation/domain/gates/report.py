"""A verdict with all of its evidence, as JSON can hold it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gyre_evaluation.domain.gates.checks import Check
from gyre_evaluation.domain.gates.gate import Gate
from gyre_evaluation.domain.runs import Target


def gate_report_of(gate: Gate) -> dict[str, Any]:
    """Of a gate that was decided."""
    return {
        "kind": "gate",
        "gate_id": gate.gate_id,
        "title": gate.title,
        "workload": gate.policy.workload,
        "verdict": gate.verdict.value if gate.verdict else "",
        "may_proceed": gate.may_proceed,
        "needs_approval": gate.policy.approval,
        "author": gate.author,
        "cause": gate.cause,
        "create_time": gate.create_time.isoformat(),
        "end_time": gate.end_time.isoformat() if gate.end_time else None,
        "candidate": _target(gate.candidate),
        "champion": _target(gate.champion),
        "policy": {
            "version": gate.declared.version,
            "author": gate.declared.author,
            "yaml": gate.declared.yaml,
        },
        "parts": [asdict(part) for part in gate.parts],
        "checks": [check_facts(one) for one in gate.checks],
        "approvals": [
            {**asdict(one), "time": one.time.isoformat(timespec="seconds")}
            for one in gate.approvals
        ],
        "examples": gate.examples,
        "done": gate.done,
    }


def check_facts(check: Check) -> dict[str, Any]:
    return {**asdict(check), "verdict": check.verdict.value}


def _target(target: Target) -> dict[str, Any]:
    return {name: value for name, value in target.as_json().items() if value}
