"""A job: the process, or the processes, that train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from gyre_retraining.domain.trainings import Plan, Progress


@dataclass(frozen=True, slots=True)
class Order:
    """What a job is given. tracking_uri: empty where nothing is tracked. name: of the model that
    it makes."""

    training_id: str
    plan: Plan
    dataset: Path
    base_model: Path
    tracking_uri: str
    name: str


class JobState(StrEnum):
    """absent: no process, and it left no word about its end (it never was, or was killed)."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Result:
    """What a finished job reached. output: the folder of the model. seconds: over all starts."""

    steps: int
    metrics: Mapping[str, float]
    peak_memory_bytes: int
    seconds: float
    output: Path
    tracking_run_id: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """A job at a moment. reason, detail: why it failed. result: where it succeeded."""

    state: JobState
    progress: Progress = field(default_factory=Progress)
    reason: str = ""
    detail: str = ""
    result: Result | None = None
