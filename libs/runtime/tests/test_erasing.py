"""Somebody is forgotten in steps: marked, erased, cleared, gone from the file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import sqlalchemy as sa
from gyre.feedback.v1.events_pb2 import FeedbackWithdrawn
from gyre_runtime.database import Database, Transaction
from gyre_runtime.database.scrubbing import Unscrubbed, scrub
from gyre_runtime.database.tombstones import Tombstones
from gyre_runtime.erasing import Eraser, Erasure
from sqlalchemy.ext.asyncio import AsyncConnection

WORD = "quetzalcoatlus"
metadata = sa.MetaData()
notes = sa.Table(
    "notes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("who", sa.String(64)),
    sa.Column("text", sa.Text),
)


class Killed(Exception):
    """The process ended here."""


class Room:
    """A service that keeps notes and says when one was withdrawn."""

    def __init__(self, database: Database, file: Path) -> None:
        self.database, self.file = database, file
        self.failures: list[Exception] = []
        self.finished: list[tuple[str, str, Mapping[str, int]]] = []
        self.fail_at = ""
        concerned = {FeedbackWithdrawn: self._concerned}
        self.eraser = Eraser(
            database, self._erase, self._finish, concerned, failed=self.failures.append
        )

    async def note(self, number: int, who: str) -> None:
        text = f"{WORD}-{who}" * (1 + number * 50)
        async with self.database.transaction() as transaction:
            row = {"id": number, "who": who, "text": text}
            await transaction.connection.execute(sa.insert(notes), row)
            event = FeedbackWithdrawn(feedback_id=text[:900], principal=who)
            transaction.say(event, tenant="acme", entity_id=str(number))

    async def sent(self) -> None:
        async with self.database.transaction() as transaction:
            outbox = self.database.tables.outbox
            await transaction.connection.execute(sa.update(outbox).values(sent_time=time.time()))

    async def stage(self) -> tuple[str, str]:
        table = self.database.tables.erasures
        async with self.database.reading() as connection:
            query = sa.select(table.c.stage, table.c.subject)
            return tuple((await connection.execute(query)).one())  # type: ignore[return-value]

    def bytes(self) -> bytes:
        files = self.file.parent.glob(f"{self.file.name}*")
        return b"".join(one.read_bytes() for one in files)

    async def _erase(self, transaction: Transaction, wanted: Erasure) -> Mapping[str, int]:
        gone = sa.delete(notes).where(notes.c.who == wanted.subject)
        count = (await transaction.connection.execute(gone)).rowcount
        if self.fail_at == "erase":
            raise Killed
        return {"notes": count}

    async def _finish(self, _: Transaction, wanted: Erasure, counts: Mapping[str, int]) -> None:
        if self.fail_at == "finish":
            raise Killed
        self.finished.append((wanted.erasure_id, wanted.subject, dict(counts)))

    async def _concerned(
        self, _: AsyncConnection, event: FeedbackWithdrawn, wanted: Erasure
    ) -> bool:
        return event.principal == wanted.subject


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    file = tmp_path / "notes.db"
    database = Database(f"sqlite+aiosqlite:///{file}", metadata)
    await database.start()
    made = Room(database, file)
    for number in range(40):
        await made.note(number, "mallory" if number % 2 else "bob")
    yield made
    await database.stop()


def wanted(subject: str = "mallory", erasure_id: str = "e-1") -> Erasure:
    return Erasure(erasure_id, "acme", subject, time.time())


async def test_nothing_of_it_is_left_in_the_file_and_the_others_stay(room: Room) -> None:
    await room.eraser.begin(wanted())
    assert await room.eraser.advance()  # the bus lacks what was said
    assert await room.stage() == ("erased", "mallory")
    await room.sent()
    assert not await room.eraser.advance()
    assert room.finished == [("e-1", "", {"events": 20, "notes": 20})]
    assert await room.stage() == ("done", "")
    kept = room.bytes()
    assert b"mallory" not in kept
    assert kept.count(f"{WORD}-bob".encode()) > 20 * 50


async def test_a_repeated_wish_is_one_erasure(room: Room) -> None:
    await room.sent()
    for _ in range(2):
        await room.eraser.begin(wanted())
    await room.eraser.advance()
    await room.eraser.begin(wanted())
    assert not await room.eraser.advance()
    assert len(room.finished) == 1


@pytest.mark.parametrize("step", ["erase", "finish"])
async def test_what_was_killed_at_a_step_goes_on_there_with_the_same_counts(
    room: Room, step: str
) -> None:
    await room.sent()
    await room.eraser.begin(wanted())
    room.fail_at = step
    with pytest.raises(Killed):
        await room.eraser.advance()
    room.fail_at = ""
    assert not await room.eraser.advance()
    assert room.finished == [("e-1", "", {"events": 20, "notes": 20})]


async def test_a_file_that_somebody_reads_is_said_to_be_unscrubbed(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gyre_runtime.database.scrubbing.PATIENCE", 0.1)
    with sqlite3.connect(room.file, isolation_level=None) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM notes").fetchone()
        with pytest.raises(Unscrubbed):
            scrub(room.file)
        reader.execute("COMMIT")
    reader.close()
    scrub(room.file)


async def test_tombstones_name_nobody_and_only_grow(room: Room) -> None:
    tombstones = Tombstones(room.database)
    async with room.database.transaction() as transaction:
        connection = transaction.connection
        assert await tombstones.until(connection, "acme", "zoe", "") == 0.0
        await tombstones.put(connection, "acme", "zoe", 20.0)
        await tombstones.put(connection, "acme", "zoe", 10.0)
        assert await tombstones.until(connection, "acme", "yan", "zoe") == 20.0
        assert await tombstones.until(connection, "globex", "zoe") == 0.0
    assert b"zoe" not in room.bytes()
