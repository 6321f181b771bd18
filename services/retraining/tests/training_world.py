"""What tests of trainings are made of."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from gyre_retraining.adapters.catalogue import plan_of
from gyre_retraining.adapters.memory import MemoryDatasets, MemoryJobs, MemoryRecipes
from gyre_retraining.adapters.memory_registry import MemoryLineageStore, MemoryModelRegistry
from gyre_retraining.adapters.model_store import FolderModelStore
from gyre_retraining.adapters.tables import MIGRATIONS, metadata
from gyre_retraining.adapters.trainings import DatabaseTrainings
from gyre_retraining.domain.jobs import Order
from gyre_retraining.domain.models import Licences, ModelKind
from gyre_retraining.domain.trainings import Plan, Training, Trigger, TriggerKind
from gyre_retraining.domain.triggers import Decision, Policy, Wish
from gyre_retraining.ports import Jobs
from gyre_retraining.recipes.schema import parse
from gyre_retraining.use_cases.deciding import Asked, DecideOnTrainings, LookForReasons
from gyre_retraining.use_cases.importing import ImportModels
from gyre_retraining.use_cases.making import MakeModels
from gyre_retraining.use_cases.models import BrowseModels
from gyre_retraining.use_cases.registering import Made, RegisterModels
from gyre_retraining.use_cases.training import Bench, Pace, Watch, WorkOnTrainings
from gyre_retraining.use_cases.watching import WatchTrainings
from gyre_runtime.database import Database
from sqlalchemy.ext.asyncio import create_async_engine

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
QUICK = Pace(lease=1.0, pause=0.01, said=0.0, wait=0.01)


def plan(name: str = "tiny", **changed: Any) -> Plan:
    values = {
        "name": name,
        "description": "Learns nothing.",
        "kind": "embedding",
        "method": "contrastive",
        "form": "pairs",
        "base_model": "minilm",
        "training": {"max_steps": 5},
        **changed,
    }
    return plan_of(parse(values))


def order(training_id: str, folder: Path, given: Plan | None = None) -> Order:
    return Order(training_id, given or plan(), folder / "dataset", folder / "base", "", "minilm")


class Counts:
    """`JudgementCounts` that a test sets."""

    def __init__(self) -> None:
        self.heard: dict[str, int] = {}

    async def count(self, tenant: str, metrics: frozenset[str]) -> int:
        return self.heard.get(tenant, 0)

    async def tenants(self) -> list[str]:
        return sorted(self.heard)


@dataclass
class World:
    """The service without its doors. now: the clock, which stands still."""

    database: Database
    folder: Path
    policies: tuple[Policy, ...] = ()
    plans: tuple[Plan, ...] = (plan(),)
    jobs: Jobs | None = None
    now: datetime = NOON
    failures: list[Exception] = field(default_factory=list)
    ended: list[Training] = field(default_factory=list)
    decided: list[Decision] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.jobs = self.jobs or MemoryJobs(self.folder / "imported")
        self.counts, self.datasets = Counts(), MemoryDatasets()
        self.recipes = MemoryRecipes(*self.plans)
        self.trainings = DatabaseTrainings(self.database, self.clock)
        store, self.registry = FolderModelStore(self.folder / "models"), MemoryModelRegistry()
        self.browse = BrowseModels(self.registry, store)
        self.register = RegisterModels(store, self.registry, MemoryLineageStore(), Licences())
        numbers = itertools.count()
        self.decide = DecideOnTrainings(
            self.trainings,
            self.recipes,
            self.datasets,
            self.counts,
            self.policies,
            self.clock,
            new_id=lambda: f"t-{next(numbers):03}-{id(self):x}",
            call=lambda: None,
            decided=self.decided.append,
        )
        self.look = LookForReasons(
            self.decide,
            self.trainings,
            self.counts,
            self.policies,
            self.clock,
            pause=0.01,
            failed=self.failures.append,
        )
        self.watch = WatchTrainings(self.trainings, self.recipes, lambda: None)

    def clock(self) -> datetime:
        return self.now

    def pass_time(self, **given: float) -> None:
        self.now += timedelta(**given)

    def worker(self, owner: str = "one", pace: Pace = QUICK) -> WorkOnTrainings:
        assert self.jobs is not None
        importing = ImportModels(self.register, self.registry, {})
        models = MakeModels(self.browse, self.register, importing, "1")
        bench = Bench(self.trainings, self.datasets, self.jobs, models, self.clock)
        watch = Watch(self.failures.append, self.ended.append)
        return WorkOnTrainings(bench, pace, watch, owner=owner)

    async def import_base(self, name: str = "minilm", tenant: str = "acme") -> None:
        folder = self.folder / "imported"
        folder.mkdir(exist_ok=True)
        header = b'{"weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        weights = len(header).to_bytes(8, "little") + header + bytes(4)
        (folder / "model.safetensors").write_bytes(weights)
        (folder / "config.json").write_text("{}")
        await self.register.register(Made(tenant, name, ModelKind.EMBEDDING, folder))

    async def ask(self, request_id: str = "r-1", tenant: str = "acme", **given: Any) -> Training:
        fields = {"recipe": "tiny", "reason": "to see", "overrides": {}, **given}
        return await self.decide.ask(Asked(tenant, "ada", request_id=request_id, **fields))

    async def get(self, training: Training) -> Training:
        return await self.trainings.get(training.tenant, training.training_id)

    async def said(self, event: str) -> list[bytes]:
        """Bodies of what was said, by the event's name in subjects."""
        outbox = self.database.tables.outbox
        query = sa.select(outbox.c.body).where(outbox.c.subject.contains(f".{event}."))
        async with self.database.reading() as connection:
            return list(await connection.scalars(query.order_by(outbox.c.position)))


@asynccontextmanager
async def working(*workers: WorkOnTrainings) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one.run()) for one in workers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def eventually(condition: Callable[[], Any], patience: float = 60.0) -> None:
    """Waits for what must come true; a slow machine only makes it later."""
    async with asyncio.timeout(patience):
        while True:
            found = condition()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def database_of(kind: str) -> AsyncIterator[Database]:
    """Empty. PostgreSQL: one of yours, which is emptied again."""
    url = "sqlite+aiosqlite://"
    if kind == "postgres":
        url = os.environ.get("GYRE_TEST_POSTGRES_URL", "")
        if not url:
            pytest.skip("GYRE_TEST_POSTGRES_URL names no PostgreSQL (postgresql+asyncpg://...)")
        await _empty(url)
    made = Database(url, metadata, migrations=MIGRATIONS)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
        if kind == "postgres":
            await _empty(url)


async def _empty(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        await connection.execute(sa.text("CREATE SCHEMA public"))
    await engine.dispose()


def wish(tenant: str, cause: str, number: int, policy: Policy | None = None, **given: Any) -> Wish:
    fields: dict[str, Any] = {"kind": TriggerKind.DRIFT, "at": NOON, **given}
    trigger = Trigger(fields["kind"], cause, "because", policy.name if policy else "ada")
    training = Training(f"t-{number:04}", tenant, plan(), trigger, fields["at"])
    return Wish(replace(training), policy, given.get("watermark", 0))
