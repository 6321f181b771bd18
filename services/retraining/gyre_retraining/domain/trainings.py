"""A training from the decision to the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from gyre_retraining.domain.models import ModelKind


class TrainingUnknown(Exception):
    """The tenant has no such training."""


class RecipeUnknown(Exception):
    """There is no recipe of this name."""


class RecipeInvalid(Exception):
    """What was changed in a recipe is not possible; the message says what."""


class DatasetUnknown(Exception):
    """The tenant has no such dataset."""


class TrainingImpossible(Exception):
    """A training cannot go on, now or later.

    reason: a word that can be counted. detail: one sentence for people.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class TrainingState(StrEnum):
    """How far a training has come."""

    REQUESTED = "requested"
    ASSEMBLING = "assembling"
    RUNNING = "running"
    REGISTERING = "registering"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (TrainingState.SUCCEEDED, TrainingState.FAILED, TrainingState.CANCELLED)

    @property
    def can_be_cancelled(self) -> bool:
        """A model that is being registered is all but there."""
        return not self.ended and self is not TrainingState.REGISTERING


class TriggerKind(StrEnum):
    """Why a training was wanted."""

    PERSON = "person"
    JUDGEMENTS = "judgements"
    DRIFT = "drift"
    SCHEDULE = "schedule"


@dataclass(frozen=True, slots=True)
class Trigger:
    """cause: what it was derived from, one training for each. by: the principal or the policy."""

    kind: TriggerKind
    cause: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What a job may use. 0 is no limit. minutes: of its whole life, over all starts."""

    memory_mb: int = 0
    minutes: float = 0.0
    threads: int = 0
    nice: int = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """A recipe as it is run, overrides included. values: all of it, as JSON. base_model: a name in
    the registry. processes, fsdp: how it is spread over the accelerators of one machine."""

    name: str
    description: str
    kind: ModelKind
    form: str
    method: str
    base_model: str
    hash: str
    yaml: str
    values: Mapping[str, Any]
    limits: Limits = Limits()
    processes: int = 1
    fsdp: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def plan_from(given: Mapping[str, Any]) -> Plan:
    limits = Limits(**given["limits"])
    return Plan(**{**given, "kind": ModelKind(given["kind"]), "limits": limits})


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is. loss: of the last step that was logged. metrics: of the validation split,
    last values."""

    step: int = 0
    steps: int = 0
    loss: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Training:
    """reason: a word that can be counted, where it failed; detail: a sentence. base_model, model:
    `name/version`. attempts: starts of its job. cancelling: somebody wants it stopped."""

    training_id: str
    tenant: str
    plan: Plan
    trigger: Trigger
    request_time: datetime
    state: TrainingState = TrainingState.REQUESTED
    reason: str = ""
    detail: str = ""
    dataset_id: str = ""
    base_model: str = ""
    model: str = ""
    progress: Progress = Progress()
    attempts: int = 0
    peak_memory_bytes: int = 0
    seconds: float = 0.0
    start_time: datetime | None = None
    end_time: datetime | None = None
    tracking_run_id: str = ""
    cancelling: bool = False
