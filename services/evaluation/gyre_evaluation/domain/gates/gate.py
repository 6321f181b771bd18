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
    examples, done: of all runs. cause: what waits for it; empty where a person asked."""

    gate_id: str
    tenant: str
    author: str
    declared: Declared
    candidate: Target
    champion: Target
    create_time: datetime
    label: str = ""
    cause: str = ""
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
            if target.kind not in (Kind.ANSWER, Kind.GENERATE, Kind.SEARCH):
                raise RequestInvalid({f"{name}.kind": "give answer, generate or search"})
            if target.kind is Kind.SEARCH and not target.index:  # the one in use may be switched
                raise RequestInvalid({name: "name its index"})
            named = target.prompt_name or target.model or target.index
            if not named:  # an experiment might take it
                raise RequestInvalid({name: "name its prompt or its model"})
        if self.searches != (self.champion.kind is Kind.SEARCH):
            raise RequestInvalid({"champion.kind": "a search is compared with a search"})
        if self.searches:
            refuse_for_searches(self.policy)

    @property
    def searches(self) -> bool:
        """Whether indexes are compared, and nobody answers."""
        return self.candidate.kind is Kind.SEARCH

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


def refuse_for_searches(policy: Policy) -> None:
    """Raises `RequestInvalid` where a part needs answers."""
    wanted = {"fresh": policy.fresh, "triggers": policy.triggers}
    if needing := [name for name, part in wanted.items() if part is not None]:
        raise RequestInvalid(dict.fromkeys(needing, "a search gives no answer: leave it out"))
