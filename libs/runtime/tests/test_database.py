"""The database of a service: durability, migrations, transactions."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from gyre.ingestion.v1.events_pb2 import DocumentDeleted
from gyre_runtime.database import Database
from gyre_runtime.events.compose import compose
from gyre_runtime.events.envelope import Outgoing

REVISION = '''"""{text}"""

import sqlalchemy as sa
from alembic import op

revision = "{name}"
down_revision = {parent!r}


def upgrade():
    {step}
'''


def things(metadata: sa.MetaData) -> sa.Table:
    return sa.Table("things", metadata, sa.Column("name", sa.String, primary_key=True))


@pytest.fixture
async def database(tmp_path: Path):
    metadata = sa.MetaData()
    things(metadata)
    made = Database(f"sqlite+aiosqlite:///{tmp_path}/deep/folder/own.db", metadata)
    await made.start()
    yield made
    await made.stop()


async def names(database: Database) -> list[str]:
    async with database.reading() as connection:
        found = await connection.scalars(sa.text("select name from things order by name"))
        return list(found)


async def add(database: Database, name: str) -> None:
    async with database.transaction() as transaction:
        table = database.metadata.tables["things"]
        await transaction.connection.execute(table.insert().values(name=name))


async def test_every_commit_is_synced_to_disk(database):
    async with database.transaction() as transaction:
        pragmas = [
            await transaction.connection.scalar(sa.text(f"pragma {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]


async def test_another_process_that_makes_the_same_new_file_is_waited_for(tmp_path: Path):
    other = sqlite3.connect(tmp_path / "own.db", isolation_level=None)
    other.execute("begin immediate")
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/own.db", sa.MetaData())
    starting = asyncio.create_task(database.start())
    await asyncio.sleep(0.3)
    assert not starting.done()
    other.execute("commit")
    await starting
    await database.stop()
    other.close()


async def test_what_was_committed_is_there_after_a_restart(database):
    await add(database, "a")
    await database.stop()
    await database.start()
    assert await names(database) == ["a"]


async def test_a_callback_runs_after_the_commit_and_never_after_a_rollback(database):
    called: list[str] = []
    async with database.transaction() as transaction:
        transaction.on_commit(lambda: called.append("committed"))
        assert called == []

    async def fail() -> None:
        async with database.transaction() as transaction:
            transaction.on_commit(lambda: called.append("rolled back"))
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await fail()
    assert called == ["committed"]


async def test_a_nested_transaction_is_refused_instead_of_waiting_for_itself(database):
    with pytest.raises(RuntimeError, match="nest"):
        async with database.transaction(), database.transaction():
            pass


async def test_reading_sees_no_uncommitted_row(database):
    async with database.transaction() as transaction:
        table = database.metadata.tables["things"]
        await transaction.connection.execute(table.insert().values(name="x"))
        assert await names(database) == []
    assert await names(database) == ["x"]


async def test_a_database_in_memory_dies_with_its_stop():
    metadata = sa.MetaData()
    things(metadata)
    database = Database("sqlite+aiosqlite://", metadata)
    await database.start()
    await add(database, "a")
    assert await names(database) == ["a"]
    await database.stop()
    await database.start()
    assert await names(database) == []
    await database.stop()


async def test_a_services_revisions_are_applied_once_each_and_in_order(tmp_path: Path):
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    step = 'op.create_table("things", sa.Column("name", sa.String, primary_key=True))'
    first = REVISION.format(text="Things.", name="0001", parent=None, step=step)
    (versions / "0001_things.py").write_text(first)
    metadata = sa.MetaData()
    things(metadata)
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/own.db", metadata, migrations=versions)
    await database.start()
    await add(database, "a")
    await database.stop()

    step = "op.execute(\"insert into things values ('by revision 2')\")"
    second = REVISION.format(text="More.", name="0002", parent="0001", step=step)
    (versions / "0002_more.py").write_text(second)
    for _ in range(2):
        await database.start()
        assert await names(database) == ["a", "by revision 2"]
        assert await database.count_unsent(1) == 0
        await database.stop()


def event(text: str) -> Outgoing:
    deleted = DocumentDeleted()
    deleted.revision.document_id = text
    return compose(deleted, tenant="acme", entity_id=text, cause="cause")


async def test_appended_events_lie_in_the_outbox_once(database):
    await database.append([event("a"), event("b")])
    await database.append([event("b")])
    async with database.reading() as connection:
        rows = list(await connection.execute(sa.select(database.tables.outbox)))
    assert [row.headers["ce-subject"] for row in rows] == ["a", "b"]
    assert database.said.is_set()


async def test_an_event_that_cannot_be_appended_is_an_error_of_the_database(database):
    async with database.transaction() as transaction:
        await transaction.connection.execute(sa.text("drop table gyre_outbox"))
    with pytest.raises(sa.exc.OperationalError, match="gyre_outbox"):
        await database.append([event("a")])
