"""One promise, two adapters: the registry in memory and the one in the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from databases import opened, subjects
from gyre_inference.adapters.experiments import DatabaseExperiments
from gyre_inference.adapters.memory_registry import MemoryExperiments, MemoryRegistry
from gyre_inference.adapters.registry import DatabaseRegistry
from gyre_inference.adapters.tables import metadata
from gyre_inference.domain.experiments import Experiment, StickyBy, Variant
from gyre_inference.domain.faults import Conflict, NotFound, Overloaded, Unavailable
from gyre_inference.domain.generation import Parameters
from gyre_inference.domain.registry import PLATFORM, Holdings, Key, Kind, Move, Version
from gyre_inference.ports import Experiments, Registry
from gyre_runtime.failures import Overloaded as OutboxFull

KEY = Key("acme", Kind.PROMPT, "greeting")
BUILT_IN = Key(PLATFORM, Kind.PROMPT, "greeting")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EXPERIMENT = Experiment(
    "tone",
    "answer",
    (
        Variant("plain", 1.0),
        Variant(
            "warm", 3.0, "answer", "candidate", "other", Parameters(temperature=0.5, stop=("x",))
        ),
    ),
    StickyBy.END_USER,
    "is warmth liked?",
    "ada",
)


def version(number: int, key: Key = KEY, text: str = "") -> Version:
    body = text or f"body {number}"
    return Version(key, number, body, f"{key.tenant}{body}"[-16:], f"why {number}", "ada", NOW)


def moved(to: int, before: int = 0, label: str = "production") -> Move:
    return Move(label, before, to, "ada", "better", NOW)


async def keep(registry: Registry, *numbers: int, key: Key = KEY) -> None:
    for number in numbers:
        async with registry.changing(key) as shelf:
            await shelf.keep(version(number, key))


async def point(registry: Registry, move: Move, key: Key = KEY) -> None:
    async with registry.changing(key) as shelf:
        await shelf.move(move)


class RegistryContract:
    async def test_nothing_is_known_at_first(self, registry: Registry) -> None:
        assert await registry.holdings(KEY) == Holdings()
        assert await registry.revision() == 0
        assert await registry.changes(-1) == []
        assert await registry.names("acme", Kind.PROMPT, "", 10) == []
        assert await registry.versions(KEY, 100, 10) == []
        assert await registry.moves(KEY, 10) == []
        with pytest.raises(NotFound):
            await registry.version(KEY, 1)

    async def test_a_version_is_read_as_it_was_kept(self, registry: Registry) -> None:
        await keep(registry, 1, 2)
        assert await registry.version(KEY, 2) == version(2)
        assert await registry.known(KEY, version(1).digest) == version(1)
        assert await registry.known(KEY, "0") is None
        assert (await registry.holdings(KEY)).newest == 2
        assert [one.number for one in await registry.versions(KEY, 100, 10)] == [2, 1]
        assert [one.number for one in await registry.versions(KEY, 2, 10)] == [1]
        assert [one.number for one in await registry.versions(KEY, 100, 1)] == [2]

    async def test_a_change_that_fails_changes_nothing(self, registry: Registry) -> None:
        async def change() -> None:
            async with registry.changing(KEY) as shelf:
                await shelf.keep(version(1))
                await shelf.move(moved(1))
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await change()
        assert await registry.holdings(KEY) == Holdings()
        assert await self.said(registry) == []

    async def test_a_label_is_found_by_who_looks_for_changes(self, registry: Registry) -> None:
        await keep(registry, 1, 2)
        await point(registry, moved(1))
        (change,) = await registry.changes(0)
        assert (change.key, change.label, change.version) == (KEY, "production", version(1))
        seen = await registry.revision()
        assert await registry.changes(seen) == []
        await point(registry, moved(2, 1))
        (change,) = await registry.changes(seen)
        assert change.version == version(2)
        assert await registry.revision() > seen
        assert (await registry.holdings(KEY)).labels == {"production": 2}
        assert await registry.moves(KEY, 10) == [moved(2, 1), moved(1)]
        assert await registry.moves(KEY, 1) == [moved(2, 1)]

    async def test_tenants_and_kinds_and_names_are_apart(self, registry: Registry) -> None:
        others = (
            Key("globex", Kind.PROMPT, "greeting"),
            Key("acme", Kind.CHAIN, "greeting"),
            Key("acme", Kind.PROMPT, "farewell"),
        )
        await keep(registry, 1)
        await point(registry, moved(1))
        for other in others:
            assert await registry.holdings(other) == Holdings()
            assert await registry.moves(other, 10) == []
            assert await registry.known(other, version(1).digest) is None
            with pytest.raises(NotFound):
                await registry.version(other, 1)
        assert await registry.names("globex", Kind.PROMPT, "", 10) == []

    async def test_the_platforms_are_seen_by_all_below_their_own(self, registry: Registry) -> None:
        await keep(registry, 1, 2, key=BUILT_IN)
        await point(registry, moved(2), BUILT_IN)
        assert await registry.holdings(KEY) == Holdings(2, {"production": 2}, frozenset())
        await keep(registry, 2, 3)
        await point(registry, moved(3, 2))
        assert await registry.holdings(KEY) == Holdings(
            3, {"production": 3}, frozenset({"production"})
        )
        found = await registry.versions(KEY, 100, 10)
        assert [(one.number, one.key.tenant) for one in found] == [
            (3, "acme"),
            (2, "acme"),
            (1, PLATFORM),
        ]
        assert (await registry.version(KEY, 2)).key == KEY
        other = Key("globex", Kind.PROMPT, "greeting")
        assert (await registry.version(other, 2)).key == BUILT_IN
        assert (await registry.holdings(other)).labels == {"production": 2}

    async def test_a_tenants_label_may_point_to_the_platforms_version(
        self, registry: Registry
    ) -> None:
        await keep(registry, 1, key=BUILT_IN)
        async with registry.changing(KEY) as shelf:
            await shelf.pin("production", 1)
        (change,) = await registry.changes(0)
        assert (change.key, change.version.key) == (KEY, BUILT_IN)
        assert await registry.moves(KEY, 10) == []

    async def test_names_are_paged(self, registry: Registry) -> None:
        for name in ("c", "a", "b"):
            await keep(registry, 1, 2, key=Key("acme", Kind.PROMPT, name))
        await keep(registry, 1, key=Key(PLATFORM, Kind.PROMPT, "b"))
        assert await registry.names("acme", Kind.PROMPT, "", 2) == ["a", "b"]
        assert await registry.names("acme", Kind.PROMPT, "b", 2) == ["c"]

    async def test_changes_at_the_same_time_queue(self, registry: Registry) -> None:
        async def one() -> None:
            async with registry.changing(KEY) as shelf:
                number = shelf.held.newest + 1
                await asyncio.sleep(0.001)
                await shelf.keep(version(number))

        await asyncio.gather(*(one() for _ in range(8)))
        assert [one.number for one in await registry.versions(KEY, 100, 20)] == list(
            range(8, 0, -1)
        )

    async def test_what_a_tenant_does_is_said_and_what_the_platform_does_is_not(
        self, registry: Registry
    ) -> None:
        await keep(registry, 1, key=BUILT_IN)
        await keep(registry, 2)
        await point(registry, moved(2))
        assert await self.said(registry) == ["registered", "promoted"]

    async def test_an_experiment_is_read_as_it_was_started(
        self, registry: Registry, experiments: Experiments
    ) -> None:
        started = await experiments.start("acme", EXPERIMENT)
        assert started.start is not None
        assert started.content == EXPERIMENT.content
        assert await experiments.list("acme", True, 0, 10) == [started]
        assert await experiments.changes(0) == [("acme", started)]
        assert await registry.revision() > 0
        assert await experiments.start("acme", EXPERIMENT) == started

    async def test_one_experiment_runs_for_a_workload(
        self, registry: Registry, experiments: Experiments
    ) -> None:
        await experiments.start("acme", EXPERIMENT)
        other = Experiment("pace", "answer", EXPERIMENT.variants)
        with pytest.raises(Conflict, match="tone"):
            await experiments.start("acme", other)
        await experiments.start("globex", other)
        await experiments.start("acme", Experiment("chat", "generate", EXPERIMENT.variants))
        await experiments.stop("acme", "tone", "ada")
        await experiments.start("acme", other)
        names = [one.experiment_id for one in await experiments.list("acme", False, 0, 10)]
        assert names == ["pace", "chat", "tone"]
        assert [one.experiment_id for one in await experiments.list("acme", True, 1, 1)] == ["chat"]

    async def test_an_experiment_does_not_change(
        self, registry: Registry, experiments: Experiments
    ) -> None:
        await experiments.start("acme", EXPERIMENT)
        with pytest.raises(Conflict, match="another content"):
            await experiments.start("acme", Experiment("tone", "answer", EXPERIMENT.variants[::-1]))

    async def test_a_stopped_experiment_stays_as_it_is(
        self, registry: Registry, experiments: Experiments
    ) -> None:
        await experiments.start("acme", EXPERIMENT)
        seen = await registry.revision()
        stopped = await experiments.stop("acme", "tone", "ada")
        assert stopped.stop is not None
        assert await experiments.stop("acme", "tone", "ada") == stopped
        assert await experiments.changes(seen) == [("acme", stopped)]
        with pytest.raises(NotFound):
            await experiments.stop("globex", "tone", "ada")

    async def said(self, registry: Registry) -> list[str]:
        raise NotImplementedError


class TestMemoryRegistry(RegistryContract):
    @pytest.fixture
    def registry(self) -> MemoryRegistry:
        return MemoryRegistry()

    @pytest.fixture
    def experiments(self, registry: MemoryRegistry) -> MemoryExperiments:
        return MemoryExperiments(registry)

    async def said(self, registry: Registry) -> list[str]:
        assert isinstance(registry, MemoryRegistry)
        return ["registered" if isinstance(one, Version) else "promoted" for one in registry.said]


class DatabaseRegistryContract(RegistryContract):
    kind = ""

    @pytest.fixture
    async def registry(self, tmp_path: Path) -> AsyncIterator[DatabaseRegistry]:
        async with opened(self.kind, tmp_path) as database:
            self.database = database
            yield DatabaseRegistry(database)

    @pytest.fixture
    def experiments(self, registry: DatabaseRegistry) -> DatabaseExperiments:
        return DatabaseExperiments(self.database)

    async def said(self, registry: Registry) -> list[str]:
        return [one.split(".")[3].removeprefix("prompt_") for one in await subjects(self.database)]

    async def test_a_database_that_fails_is_told_as_such(self, registry: Registry) -> None:
        full = OutboxFull("outbox", "full", retry_after=3)
        self.database.refusal = full
        with pytest.raises(Overloaded) as told:
            await keep(registry, 1)
        assert told.value.retry_after == 3
        self.database.refusal = None
        async with self.database.transaction() as transaction:
            await transaction.connection.execute(sa.text("DROP TABLE versions"))
        with pytest.raises(Unavailable):
            await registry.version(KEY, 1)
        with pytest.raises(Unavailable):
            await keep(registry, 1)

    async def test_the_migrations_make_the_tables_that_are_declared(
        self, registry: Registry
    ) -> None:
        async with self.database.reading() as connection:
            differences = await connection.run_sync(
                lambda bound: compare_metadata(MigrationContext.configure(bound), metadata)
            )
        assert differences == []


class TestSqliteRegistry(DatabaseRegistryContract):
    kind = "sqlite"


class TestPostgresRegistry(DatabaseRegistryContract):
    kind = "postgres"
