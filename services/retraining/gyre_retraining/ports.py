"""What the stories need from the world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from gyre_retraining.domain.jobs import Order, Seen
from gyre_retraining.domain.models import DatasetFacts, ModelVersion
from gyre_retraining.domain.trainings import Plan, Training
from gyre_retraining.domain.triggers import Decision, Wish


class JobsUnavailable(Exception):
    """Where jobs run does not answer now; try again later."""


class News(StrEnum):
    """What is said of a change, in the commit that keeps it."""

    STARTED = "started"
    PROGRESSED = "progressed"
    TRAINED = "trained"
    FAILED = "failed"


class Clock(Protocol):
    """The time, aware of its zone (UTC)."""

    def __call__(self) -> datetime: ...


class Recipes(Protocol):
    """The catalogue."""

    def all(self) -> list[Plan]:
        """By name."""

    def plan(self, name: str, overrides: Mapping[str, str]) -> Plan:
        """The recipe as it would run. Raises `RecipeUnknown` and `RecipeInvalid`."""


class JudgementCounts(Protocol):
    """How many judgements were heard, for triggers. Withdrawn ones count: it never falls."""

    async def count(self, tenant: str, metrics: frozenset[str]) -> int:
        """Judgements of the tenant by these metrics; no metrics means all. An edit of a judgement
        is no other judgement."""

    async def tenants(self) -> list[str]:
        """Those that judged anything."""


class Trainings(Protocol):
    """Trainings and the decisions about them. What is said of a change is in its commit."""

    async def decide(self, wishes: Sequence[Wish]) -> list[Decision]:
        """Judges each wish against what there was (see `judge`) and keeps the decision; where it is
        accepted, keeps the training, too, and says `TrainingRequested`.

        A cause has one training, whatever processes ask at the same moment: a cause that was
        accepted before is `repeated`. One that was refused is judged anew. May be called by a
        handler: all of it is one transaction.
        """

    async def watermark(self, tenant: str, recipe: str) -> int:
        """Judgements that had been heard when the last training was wanted; 0 where none was."""

    async def decisions(self, tenant: str, *, limit: int) -> list[Decision]:
        """Newest first, refused ones, too."""

    async def get(self, tenant: str, training_id: str) -> Training:
        """Raises `TrainingUnknown`."""

    async def page(self, tenant: str, recipe: str, *, limit: int, before: str) -> list[Training]:
        """Newest first. recipe: empty means all. before: the last id of the page before."""

    async def cancel(self, tenant: str, training_id: str, detail: str) -> Training:
        """Ends one that nobody works on, marks the others as `cancelling`; one that has ended or is
        being registered stays as it is. Raises `TrainingUnknown`."""

    async def claim(self, owner: str, lease: float) -> Training | None:
        """The oldest open training without a worker; it is the owner's for `lease` seconds."""

    async def renew(self, training_id: str, owner: str, lease: float) -> bool:
        """False where it is another's by now, or ended."""

    async def release(self, training_id: str, owner: str) -> None:
        """Lets others claim it now."""

    async def keep(
        self,
        training: Training,
        owner: str,
        news: News | None = None,
        model: ModelVersion | None = None,
    ) -> bool:
        """Writes what changed and says it, once however often it is repeated. False, and nothing
        is changed, where the training is not the owner's any more or has ended. model: what was
        made, for `TRAINED`. The mark `cancelling` is not written."""

    async def open(self) -> int:
        """Trainings that have not ended, of all tenants."""


class Jobs(Protocol):
    """Where trainings run, apart from this process: it may die, they go on.

    Every method may be repeated, and raises `JobsUnavailable`.
    """

    async def start(self, order: Order) -> None:
        """Starts the job, or starts it anew at its last checkpoint. One that runs is left alone,
        whoever started it. Raises `TrainingImpossible` where it cannot be started at all."""

    async def look(self, training_id: str) -> Seen:
        """What has become of it."""

    async def stop(self, training_id: str) -> None:
        """Asks it to end (it keeps a checkpoint), then ends it after a grace. Returns when there is
        no process left."""

    async def clear(self, training_id: str) -> None:
        """Removes what is not needed once the training has ended; it is not running."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """A dataset that is ready. rows: by split."""

    dataset_id: str
    folder: Path
    rows: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Described:
    """A dataset for people. erased: its rows are gone."""

    facts: DatasetFacts
    folder: Path
    create_time: datetime
    erased: bool = False


class Datasets(Protocol):
    """Datasets for trainings."""

    async def assemble(self, tenant: str, plan: Plan, as_of: datetime) -> Assembled:
        """The same sources, plan and moment give the same dataset; a repeat is no other one.
        Raises `TrainingImpossible`, e.g. `too_few_rows`."""

    async def find(self, tenant: str, dataset_id: str) -> Assembled:
        """Raises `DatasetUnknown`, and `TrainingImpossible` where its files are damaged."""

    async def describe(self, tenant: str, dataset_id: str) -> Described:
        """Raises `DatasetUnknown`."""
