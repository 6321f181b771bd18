"""One promise, two adapters: the catalogue in memory and the one in the database."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from gyre.retrieval.v1.events_pb2 import DocumentIndexed
from gyre_retrieval.adapters.catalogue import DatabaseCatalogue
from gyre_retrieval.adapters.memory import MemoryCatalogue
from gyre_retrieval.adapters.tables import MIGRATIONS, metadata
from gyre_retrieval.domain.document import Arrival, Verdict, delete, receive
from gyre_retrieval.domain.errors import EmbedderMismatch
from gyre_retrieval.domain.identity import DocumentKey, Version
from gyre_retrieval.domain.index import InForce, View
from gyre_retrieval.ports import Catalogue, Leaving, Serving
from gyre_runtime.database import Database
from retrieval_builders import DIMENSION, EMBEDDER, HOSTILE, index, key
from sqlalchemy.ext.asyncio import create_async_engine


def arrival(revision: int, part: int = 0, of: int = 1) -> Arrival:
    return Arrival(Version(revision, 1), f"r{revision}", part, of, 2, EMBEDDER)


async def hear(catalogue: Catalogue, document: DocumentKey, one: Arrival) -> Verdict:
    async with catalogue.changing(document) as record:
        change = receive(record.state, one)
        await record.apply(change)
    return change.verdict


class CatalogueContract:
    async def test_nothing_is_known_at_first(self, catalogue: Catalogue) -> None:
        assert await catalogue.view("acme", "default") is None
        assert (await catalogue.document(key("d"))).in_force is None
        assert await catalogue.in_force("acme", "default", ["d"]) == {}
        assert await catalogue.collections("acme") == []
        assert await catalogue.leavings(10) == []

    async def test_a_state_is_read_as_it_was_kept(self, catalogue: Catalogue) -> None:
        await hear(catalogue, key("d"), arrival(1))
        await hear(catalogue, key("d"), arrival(3, 0, 2))
        state = await catalogue.document(key("d"))
        assert state.in_force is not None
        assert state.in_force.version == Version(1, 1)
        assert state.arrivals == {arrival(3, 0, 2)}
        assert await hear(catalogue, key("d"), arrival(3, 1, 2)) is Verdict.INDEXED
        after = await catalogue.document(key("d"))
        assert after.arrivals == frozenset()
        assert await catalogue.leavings(10) == [Leaving(key("d"), Version(1, 1))]

    async def test_what_leaves_is_forgotten_when_it_is_gone(self, catalogue: Catalogue) -> None:
        for revision in (1, 2, 3):
            await hear(catalogue, key("d"), arrival(revision))
        leavings = await catalogue.leavings(10)
        assert {one.version.revision for one in leavings} == {1, 2}
        assert len(await catalogue.leavings(1)) == 1
        await catalogue.forget(leavings)
        await catalogue.forget(leavings)
        assert await catalogue.leavings(10) == []

    async def test_what_is_stored_once_more_while_it_is_removed_must_go_again(
        self, catalogue: Catalogue
    ) -> None:
        for revision in (1, 2):
            await hear(catalogue, key("d"), arrival(revision))
        being_removed = await catalogue.leavings(10)
        assert await hear(catalogue, key("d"), arrival(1)) is Verdict.STALE
        await catalogue.forget(being_removed)
        again = await catalogue.leavings(10)
        assert again == [Leaving(key("d"), Version(1, 1))]
        await catalogue.forget(again)
        assert await catalogue.leavings(10) == []

    async def test_a_version_can_leave_without_a_change(self, catalogue: Catalogue) -> None:
        await catalogue.leave(key("d"), Version(1, 1))
        await catalogue.leave(key("d"), Version(1, 1))
        assert await catalogue.leavings(10) == [Leaving(key("d"), Version(1, 1))]

    async def test_the_generation_grows_with_what_is_in_force(self, catalogue: Catalogue) -> None:
        await hear(catalogue, key("d"), arrival(1))
        await hear(catalogue, key("e"), arrival(1))
        await hear(catalogue, key("e"), arrival(2, 0, 2))
        assert await catalogue.view("acme", "default") == View(None, 2)
        held = await catalogue.in_force("acme", "default", ["d", "e", "f"])
        assert held == {"d": InForce(1, 1, 1), "e": InForce(1, 1, 2)}

    async def test_a_deleted_document_is_not_in_force(self, catalogue: Catalogue) -> None:
        await hear(catalogue, key("d"), arrival(1))
        async with catalogue.changing(key("d")) as record:
            await record.apply(delete(record.state, 1, "r1"))
        assert await catalogue.in_force("acme", "default", ["d"]) == {}
        assert await hear(catalogue, key("d"), arrival(1)) is Verdict.STALE
        assert (await catalogue.document(key("d"))).deleted_revision == 1

    async def test_a_block_that_raises_keeps_nothing(self, catalogue: Catalogue) -> None:
        async def crash() -> None:
            async with catalogue.changing(key("d")) as record:
                await record.apply(receive(record.state, arrival(1)))
                raise RuntimeError("crash")

        with pytest.raises(RuntimeError, match="crash"):
            await crash()
        assert await catalogue.in_force("acme", "default", ["d"]) == {}
        assert await self.said(catalogue) == []

    async def test_what_comes_into_force_is_said_once(self, catalogue: Catalogue) -> None:
        for _ in range(3):
            await hear(catalogue, key("d"), arrival(1))
        async with catalogue.changing(key("d")) as record:
            await record.apply(delete(record.state, 1, "r1"))
        assert await self.said(catalogue) == ["Indexed", "Unindexed"]

    async def test_a_collection_has_one_index_in_use(self, catalogue: Catalogue) -> None:
        claims = (catalogue.claim_index("default", EMBEDDER, DIMENSION) for _ in range(5))
        assert set(await asyncio.gather(*claims)) == {index()}
        assert await catalogue.indexes("default") == [index()]
        assert await catalogue.indexes("other") == []
        assert await catalogue.claim_index("default", "another", 3) == index()
        with pytest.raises(EmbedderMismatch):
            await catalogue.claim_index("default", EMBEDDER, 3)

    async def test_the_index_in_use_is_known_inside_of_a_change(self, catalogue: Catalogue) -> None:
        async with catalogue.changing(key("d")) as record:
            assert await record.serving() is None
        await catalogue.claim_index("default", EMBEDDER, DIMENSION)
        async with catalogue.changing(key("d")) as record:
            assert await record.serving() == Serving(index(), 0.0)

    async def test_collections_are_listed_with_what_is_in_force(self, catalogue: Catalogue) -> None:
        for _ in range(2):
            await catalogue.make_collection("acme", "empty")
        await catalogue.claim_index("default", EMBEDDER, DIMENSION)
        await hear(catalogue, key("d"), arrival(1))
        await hear(catalogue, key("e"), arrival(1, 0, 2))
        await hear(catalogue, key("d", tenant="rival"), arrival(1))
        mine = await catalogue.collections("acme")
        assert [(one.name, one.document_count, one.chunk_count) for one in mine] == [
            ("default", 1, 2),
            ("empty", 0, 0),
        ]
        assert [one.index for one in mine] == [index(), None]
        assert await catalogue.view("acme", "empty") == View(None, 0)
        assert await catalogue.view("rival", "empty") is None

    async def test_the_same_names_elsewhere_are_something_else(self, catalogue: Catalogue) -> None:
        await hear(catalogue, key("d"), arrival(1))
        for tenant, collection in (("rival", "default"), ("acme", "other")):
            assert (await catalogue.document(key("d", tenant, collection))).in_force is None
            assert await catalogue.in_force(tenant, collection, ["d"]) == {}

    @pytest.mark.parametrize("name", [name for name in HOSTILE if "\0" not in name])
    async def test_hostile_ids_are_kept_as_they_are(self, catalogue: Catalogue, name: str) -> None:
        await hear(catalogue, key(name), arrival(1))
        assert set(await catalogue.in_force("acme", "default", [name, "d"])) == {name}

    async def test_many_documents_are_asked_for_at_once(self, catalogue: Catalogue) -> None:
        await hear(catalogue, key("d"), arrival(1))
        names = [f"n{number}" for number in range(2000)]
        assert set(await catalogue.in_force("acme", "default", [*names, "d"])) == {"d"}

    async def test_parts_that_come_at_once_bring_one_version_into_force(
        self, catalogue: Catalogue
    ) -> None:
        parts = (hear(catalogue, key("d"), arrival(1, part, 8)) for part in range(8))
        verdicts = await asyncio.gather(*parts)
        assert sorted(verdicts) == [Verdict.INDEXED] + [Verdict.STORED] * 7
        assert await self.said(catalogue) == ["Indexed"]

    async def said(self, catalogue: Catalogue) -> list[str]:
        raise NotImplementedError


class TestMemoryCatalogue(CatalogueContract):
    @pytest.fixture
    def catalogue(self) -> MemoryCatalogue:
        return MemoryCatalogue()

    async def said(self, catalogue: Catalogue) -> list[str]:
        assert isinstance(catalogue, MemoryCatalogue)
        return [type(fact).__name__ for fact in catalogue.said]


class DatabaseCatalogueContract(CatalogueContract):
    async def url(self, folder: Path) -> str:
        """Of an empty database."""
        raise NotImplementedError

    @pytest.fixture
    async def database(self, tmp_path: Path) -> AsyncIterator[Database]:
        database = Database(await self.url(tmp_path), metadata, migrations=MIGRATIONS)
        await database.start()
        yield database
        await database.stop()

    @pytest.fixture
    async def catalogue(self, database: Database) -> AsyncIterator[DatabaseCatalogue]:
        self.database = database
        async with DatabaseCatalogue(database) as catalogue:
            yield catalogue

    async def said(self, catalogue: Catalogue) -> list[str]:
        outbox = self.database.tables.outbox
        async with self.database.reading() as connection:
            rows = await connection.execute(sa.select(outbox.c.subject).order_by(outbox.c.position))
            names = [row.subject.split(".")[3] for row in rows]
        return ["Indexed" if name == "document_indexed" else "Unindexed" for name in names]

    async def test_everything_survives_a_restart(
        self, catalogue: DatabaseCatalogue, database: Database
    ) -> None:
        await hear(catalogue, key("d"), arrival(1))
        await catalogue.claim_index("default", EMBEDDER, DIMENSION)
        before = await catalogue.document(key("d"))
        await database.stop()
        await database.start()
        assert await catalogue.document(key("d")) == before
        assert await catalogue.view("acme", "default") == View(index(), 1)

    async def test_the_migrations_make_the_tables_that_are_declared(
        self, database: Database
    ) -> None:
        async with database.reading() as connection:
            differences = await connection.run_sync(
                lambda bound: compare_metadata(MigrationContext.configure(bound), metadata)
            )
        assert differences == []

    async def test_the_attempt_that_is_in_force_is_said(
        self, catalogue: DatabaseCatalogue, database: Database
    ) -> None:
        await hear(catalogue, key("d"), replace(arrival(1), version=Version(1, 3)))
        async with database.reading() as connection:
            bodies = await connection.execute(sa.select(database.tables.outbox.c.body))
            said = [DocumentIndexed.FromString(row.body) for row in bodies]
        assert [(one.revision.revision, one.attempt) for one in said] == [(1, 3)]


class TestSqliteCatalogue(DatabaseCatalogueContract):
    async def url(self, folder: Path) -> str:
        return f"sqlite+aiosqlite:///{folder}/retrieval.db"

    async def test_a_catalogue_made_without_revisions_goes_on(self, tmp_path: Path) -> None:
        url = await self.url(tmp_path)
        for migrations in (None, MIGRATIONS, MIGRATIONS):
            database = Database(url, metadata, migrations=migrations)
            await database.start()
            async with DatabaseCatalogue(database) as catalogue:
                verdict = await hear(catalogue, key("d"), arrival(1))
            await database.stop()
        assert verdict is Verdict.REPEATED


class TestPostgresCatalogue(DatabaseCatalogueContract):
    async def url(self, folder: Path) -> str:
        url = os.environ.get("GYRE_TEST_POSTGRES_URL")
        if url is None:
            pytest.skip("GYRE_TEST_POSTGRES_URL names no PostgreSQL (postgresql+asyncpg://...)")
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(metadata.drop_all)
            await connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
        await engine.dispose()
        return url
