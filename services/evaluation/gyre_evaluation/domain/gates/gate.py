"""A candidate before the gate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gyre_evaluation.domain.errors import RequestInvalid
from gyre_evaluation.domain.gates.checks import Check, GateVerdict
from gyre_evaluation.domain.gates.policy import Policy
from gyre_evaluation.domain.runs import Kind, Target

DATASET = "gates"
"""Fresh answers and questions with triggers are versions of it."""


class GateState(StrEnum):
    """How far a gate is."""

    RUNNING = "running"
    DECIDED = "decided"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self is not GateState.RUNNING


@dataclass(frozen=True, slots=True)
class Declared:
    """A version of a workload's policy, as it was written."""

    tenant: str
    policy: Policy
    version: int
    yaml: str
    author: str
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's word."""

    by: str
    time: datetime
    granted: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Part:
    """A dataset that both are asked. name: as in checks. Runs are empty until they are started."""

    name: str
    dataset: str
    version: int
    split: str = ""
    limit: int = 0
    champion_run_id: str = ""
    candidate_run_id: str = ""

    @property
    def run_ids(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.champion_run_id, self.candidate_run_id)))


@dataclass(frozen=True, slots=True)
class Gate:
    """parts: empty until the datasets are there. missing: why a part of the policy has none.
    examples, done: of all runs."""

    gate_id: str
    tenant: str
    author: str
    declared: Declared
    candidate: Target
    champion: Target
    create_time: datetime
    label: str = ""
    state: GateState = GateState.RUNNING
    verdict: GateVerdict | None = None
    parts: tuple[Part, ...] = ()
    missing: tuple[Check, ...] = ()
    checks: tuple[Check, ...] = ()
    approvals: tuple[Approval, ...] = ()
    examples: int = 0
    done: int = 0
    end_time: datetime | None = None

    def __post_init__(self) -> None:
        for name, target in (("candidate", self.candidate), ("champion", self.champion)):
            if target.kind not in (Kind.ANSWER, Kind.GENERATE):
                raise RequestInvalid({f"{name}.kind": "give answer or generate"})
            if not (target.prompt_name or target.model):  # an experiment might take it
                raise RequestInvalid({name: "name its prompt or its model"})

    @property
    def policy(self) -> Policy:
        return self.declared.policy

    @property
    def may_proceed(self) -> bool:
        """It passed and, where the policy wants a person, the last word is yes."""
        said = self.approvals[-1].granted if self.approvals else not self.policy.approval
        return self.verdict is GateVerdict.PASS and said

    @property
    def title(self) -> str:
        return self.label or self.candidate.title
