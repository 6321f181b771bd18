"""Honest twins, for tests without processes, files or a registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from gyre_retraining.domain.jobs import JobState, Order, Result, Seen
from gyre_retraining.domain.models import DatasetFacts
from gyre_retraining.domain.trainings import (
    DatasetUnknown,
    Plan,
    Progress,
    RecipeInvalid,
    RecipeUnknown,
    TrainingImpossible,
)
from gyre_retraining.ports import Assembled, Described, JobsUnavailable


class MemoryRecipes:
    """`Recipes`: overrides are `name=value` of plans' values that are there."""

    def __init__(self, *plans: Plan) -> None:
        self._plans = {plan.name: plan for plan in plans}

    def all(self) -> list[Plan]:
        return [self._plans[name] for name in sorted(self._plans)]

    def plan(self, name: str, overrides: Mapping[str, str]) -> Plan:
        if name not in self._plans:
            raise RecipeUnknown(name)
        plan = self._plans[name]
        if strange := overrides.keys() - plan.values.keys():
            raise RecipeInvalid(f"{', '.join(sorted(strange))}: the recipe has no such value")
        values = {**plan.values, **overrides}
        return replace(plan, values=values, hash=f"{plan.hash}{sorted(overrides.items()) or ''}")


@dataclass
class MemoryDatasets:
    """`Datasets`: each tenant and form has so many rows."""

    rows: int = 100
    least: int = 10
    known: dict[tuple[str, str], Assembled] = field(default_factory=dict)

    async def assemble(self, tenant: str, plan: Plan, as_of: datetime) -> Assembled:
        if self.rows < self.least:
            raise TrainingImpossible("too_few_rows", f"{self.rows} rows, {self.least} are needed")
        identity = f"{plan.form}-{as_of.timestamp():.0f}"
        made = Assembled(identity, Path("/datasets") / identity, {"train": self.rows})
        return self.known.setdefault((tenant, identity), made)

    async def find(self, tenant: str, dataset_id: str) -> Assembled:
        if (tenant, dataset_id) not in self.known:
            raise DatasetUnknown(dataset_id)
        return self.known[tenant, dataset_id]

    async def describe(self, tenant: str, dataset_id: str) -> Described:
        found = await self.find(tenant, dataset_id)
        facts = DatasetFacts(dataset_id, dataset_id.partition("-")[0], found.rows)
        return Described(facts, found.folder, datetime.fromtimestamp(0, UTC))


@dataclass
class MemoryJob:
    """A job that does as it is told. starts: how often it began."""

    order: Order
    starts: int = 1
    running: bool = True
    seen: Seen = field(default_factory=lambda: Seen(JobState.RUNNING))


@dataclass
class MemoryJobs:
    """`Jobs`: a test says how they go on. finishes: a job is done when it is first looked at.
    output: the model that each of them makes."""

    output: Path = Path("/jobs/model")
    finishes: bool = False
    away: bool = False
    jobs: dict[str, MemoryJob] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    cleared: list[str] = field(default_factory=list)

    async def start(self, order: Order) -> None:
        self._answer()
        job = self.jobs.get(order.training_id)
        if job is None:
            self.jobs[order.training_id] = MemoryJob(order)
        elif not job.running:
            self.jobs[order.training_id] = MemoryJob(order, job.starts + 1)

    async def look(self, training_id: str) -> Seen:
        self._answer()
        job = self.jobs.get(training_id)
        if job is None:
            return Seen(JobState.ABSENT)
        if self.finishes and job.running:
            self.finish(training_id)
        return job.seen

    async def stop(self, training_id: str) -> None:
        self._answer()
        self.stopped.append(training_id)
        job = self.jobs.get(training_id)
        if job is not None and job.running:
            job.running, job.seen = False, Seen(JobState.ABSENT, job.seen.progress)

    async def clear(self, training_id: str) -> None:
        self._answer()
        self.cleared.append(training_id)

    def advance(self, training_id: str, step: int, steps: int, loss: float) -> None:
        job = self.jobs[training_id]
        job.seen = Seen(JobState.RUNNING, Progress(step, steps, loss))

    def finish(self, training_id: str) -> None:
        job, metrics = self.jobs[training_id], {"eval_loss": 0.5}
        result = Result(7, metrics, 1_000_000, 3.0, self.output)
        job.running = False
        job.seen = Seen(JobState.SUCCEEDED, Progress(7, 7, 0.4, metrics), result=result)

    def fail(self, training_id: str, reason: str, detail: str) -> None:
        job = self.jobs[training_id]
        job.running, job.seen = False, Seen(JobState.FAILED, job.seen.progress, reason, detail)

    def kill(self, training_id: str) -> None:
        """It leaves no word."""
        job = self.jobs[training_id]
        job.running, job.seen = False, Seen(JobState.ABSENT, job.seen.progress)

    def _answer(self) -> None:
        if self.away:
            raise JobsUnavailable("nobody answers")
