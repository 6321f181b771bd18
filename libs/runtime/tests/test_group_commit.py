"""Transactions that share a commit: each is whole or absent, and none pays for another's fault."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from gyre.ingestion.v1.events_pb2 import DocumentDeleted
from gyre_runtime.bus.inbox import InboxAttempts
from gyre_runtime.database import AlreadyApplied, Database
from gyre_runtime.events.compose import compose
from gyre_runtime.events.envelope import Envelope
from gyre_runtime.events.handling import Handling

METADATA = sa.MetaData()
THINGS = sa.Table(
    "things",
    METADATA,
    sa.Column("name", sa.String, primary_key=True),
    # Looked at by the commit, which is the way to make one fail.
    sa.Column("of", sa.ForeignKey("things.name", deferrable=True, initially="DEFERRED")),
)


class Counted:
    """A database whose commits are counted."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.commits = 0
        assert database._engines is not None
        sa.event.listen(database._engines.writer.sync_engine, "commit", self._count)

    def _count(self, _: sa.Connection) -> None:
        self.commits += 1

    async def add(self, name: str, of: str | None = None) -> None:
        async with self.database.transaction() as transaction:
            await transaction.connection.execute(THINGS.insert().values(name=name, of=of))

    async def names(self) -> list[str]:
        async with self.database.reading() as connection:
            return list(await connection.scalars(sa.select(THINGS.c.name).order_by("name")))


@pytest.fixture
async def counted(tmp_path: Path):
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/own.db", METADATA)
    await database.start()
    yield Counted(database)
    await database.stop()


async def test_transactions_that_are_ready_together_share_a_commit(counted):
    await asyncio.gather(*(counted.add(name) for name in "abcdefgh"))
    assert await counted.names() == list("abcdefgh")
    assert counted.commits <= 2


async def test_transactions_one_after_the_other_have_a_commit_each(counted):
    for name in "abc":
        await counted.add(name)
    assert counted.commits == 3


async def test_a_transaction_that_fails_undoes_its_own_work_and_no_other(counted):
    async def fail() -> None:
        async with counted.database.transaction() as transaction:
            await transaction.connection.execute(THINGS.insert().values(name="undone"))
            raise ValueError("no")

    _, failed, _, twice, _ = await asyncio.gather(
        counted.add("a"),
        fail(),
        counted.add("b"),
        counted.add("a"),
        counted.add("c"),
        return_exceptions=True,
    )
    assert isinstance(failed, ValueError)
    assert isinstance(twice, sa.exc.IntegrityError)
    assert await counted.names() == ["a", "b", "c"]


async def test_a_transaction_cancelled_in_its_statement_takes_no_other_with_it(counted):
    endless = sa.text(
        "with recursive n(i) as (select 1 union all select i + 1 from n limit 400000)"
        " select max(i) from n"
    )
    inside = asyncio.Event()

    async def compute() -> None:
        async with counted.database.transaction() as transaction:
            await transaction.connection.execute(THINGS.insert().values(name="undone"))
            inside.set()
            await transaction.connection.execute(endless)

    before = asyncio.create_task(counted.add("before"))
    computing = asyncio.create_task(compute())
    after = asyncio.create_task(counted.add("after"))
    await inside.wait()
    computing.cancel()
    await asyncio.gather(before, after)
    with pytest.raises(asyncio.CancelledError):
        await computing
    assert await counted.names() == ["after", "before"]


async def test_a_commit_that_fails_is_told_to_all_who_shared_it_and_the_next_one_works(counted):
    failures = await asyncio.gather(
        counted.add("a"), counted.add("b", of="nobody"), counted.add("c"), return_exceptions=True
    )
    assert [type(failure) for failure in failures] == [sa.exc.IntegrityError] * 3
    await counted.add("d")
    assert await counted.names() == ["d"]


async def test_when_sqlite_gives_up_the_transaction_nothing_of_the_group_commits_itself(counted):
    """As it does where the disk is full."""

    async def give_up() -> None:
        async with counted.database.transaction() as transaction:
            await transaction.connection.exec_driver_sql("ROLLBACK")

    failures = await asyncio.gather(
        counted.add("a"), give_up(), counted.add("b"), return_exceptions=True
    )
    assert all(isinstance(failure, sa.exc.OperationalError) for failure in failures)
    await counted.add("c")
    assert await counted.names() == ["c"]


async def test_an_event_is_not_called_applied_because_of_a_neighbour_whose_commit_fails(counted):
    envelope = Envelope("e", "", "", datetime.now(UTC), "", "acme", "", "")
    attempts = InboxAttempts(counted.database)
    first, second = (Handling("listener", envelope, "INGESTION", number) for number in (1, 2))
    await attempts.begin(first, deliveries=1, redrive="", alone=False)

    async def apply(handling: Handling, of: str | None) -> None:
        async with counted.database.transaction(aside=True) as transaction:
            await transaction.apply(handling)
            await transaction.connection.execute(THINGS.insert().values(name="a", of=of))

    failures = await asyncio.gather(
        apply(first, "nobody"), apply(second, None), return_exceptions=True
    )
    assert [type(failure) for failure in failures] == [sa.exc.IntegrityError] * 2
    await apply(second, None)
    with pytest.raises(AlreadyApplied):
        await apply(first, None)


async def test_events_appended_beside_transactions_are_durable_when_it_returns(counted):
    async def append(name: str) -> int:
        deleted = DocumentDeleted()
        said = compose(deleted, tenant="acme", entity_id=name, cause=name)
        await counted.database.append([said])
        return await counted.database.count_unsent(10)

    counts = await asyncio.gather(counted.add("a"), append("b"), counted.add("c"), append("d"))
    assert counts[1] in (1, 2)
    assert counts[3] == 2
    assert await append("e") == 3
    assert await counted.names() == ["a", "c"]
