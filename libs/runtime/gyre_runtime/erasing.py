"""Somebody is forgotten: what a service keeps of a subject is erased, then gone from its files.

Asked for in a handler, done behind the scenes, in steps that each commit. What ends half way, even
by kill -9, goes on at its step.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_runtime.database import Database, Transaction
from gyre_runtime.database.tombstones import Tombstones
from gyre_runtime.database.transaction import insert_ignore
from gyre_runtime.events.names import dead_letter_subject, event_name, subject_of

IDLE, BUSY = 5.0, 0.5
PAGE = 500
EVENTS = "events"


class Stage(StrEnum):
    """What was done of an erasure. MARKED: nothing. ERASED: the service's own rows. CLEARED: copies
    of what was said, too; the subject's name is not kept any more. DONE: the files are rewritten,
    and it was said."""

    MARKED = "marked"
    ERASED = "erased"
    CLEARED = "cleared"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Erasure:
    """subject: who is to be forgotten, empty after CLEARED. until: what was said up to then,
    seconds since 1970 (UTC)."""

    erasure_id: str
    tenant: str
    subject: str
    until: float


Counts = Mapping[str, int]
Erase = Callable[[Transaction, Erasure], Awaitable[Counts]]
Finish = Callable[[Transaction, Erasure, Counts], Awaitable[None]]
Concerned = Mapping[type[Message], Callable[[AsyncConnection, Any, Erasure], Awaitable[bool]]]


class Eraser:
    """erase: removes the service's rows; how many by kind. finish: says it. concerned: events of
    the service that hold content, and whether one holds some of the subject: those that the bus
    has lose their body here. grace: seconds that what is under way at the request may take."""

    def __init__(
        self,
        database: Database,
        erase: Erase,
        finish: Finish,
        concerned: Concerned,
        *,
        grace: float = 0.0,
        failed: Callable[[Exception], None],
    ) -> None:
        self._database = database
        self._erase, self._finish, self._concerned = erase, finish, concerned
        self._grace, self._failed = grace, failed
        self._tombstones = Tombstones(database)
        self._called = asyncio.Event()

    async def begin(self, wanted: Erasure) -> None:
        """See `ask`, in a transaction of its own: in a handler that is the event's."""
        async with self._database.transaction() as transaction:
            await self.ask(transaction, wanted)

    async def ask(self, transaction: Transaction, wanted: Erasure) -> None:
        """In the caller's transaction. May be repeated. From its commit on nothing is kept that was
        said before: whoever writes asks the tombstones."""
        connection = transaction.connection
        await self._tombstones.put(connection, wanted.tenant, wanted.subject, wanted.until)
        row = {
            "erasure_id": wanted.erasure_id,
            "tenant": wanted.tenant,
            "subject": wanted.subject,
            "until": wanted.until,
            "stage": Stage.MARKED,
            "erased": {},
        }
        await connection.execute(insert_ignore(connection, self._table), row)
        transaction.on_commit(self._called.set)

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            self._called.clear()
            try:
                waiting = await self.advance()
            except Exception as error:  # e.g. a reader holds the file: the next round comes
                self._failed(error)
                waiting = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BUSY if waiting else IDLE):
                    await self._called.wait()

    async def advance(self) -> bool:
        """As far as it goes now; whether something is left to do."""
        query = sa.select(self._table).where(self._table.c.stage != Stage.DONE)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.order_by(self._table.c.until))).all()
        left = False
        for row in rows:
            wanted = Erasure(row.erasure_id, row.tenant, row.subject, row.until)
            left |= not await self._advance(wanted, Stage(row.stage))
        return left

    async def _advance(self, wanted: Erasure, stage: Stage) -> bool:
        if stage is Stage.MARKED:
            await self._step(wanted, stage, Stage.ERASED, self._erase)
            stage = Stage.ERASED
        if stage is Stage.ERASED:
            if time.time() < wanted.until + self._grace or not await self._clear(wanted):
                return False
            # Again: a write that had begun before the tombstone was there may have come since.
            await self._step(wanted, stage, Stage.CLEARED, self._erase)
        await self._database.scrub()
        await self._step(wanted, Stage.CLEARED, Stage.DONE, self._say)
        return True

    async def _step(self, wanted: Erasure, before: Stage, after: Stage, work: Erase) -> None:
        """Once, whichever process comes first."""
        here = sa.and_(self._table.c.erasure_id == wanted.erasure_id, self._table.c.stage == before)
        async with self._database.transaction(aside=True) as transaction:
            connection = transaction.connection
            query = sa.select(self._table.c.erased).where(here).with_for_update()
            known = await connection.scalar(query)
            if known is None:
                return
            counts = Counter(known)
            counts.update(await work(transaction, wanted))
            values: dict[str, Any] = {"stage": after, "erased": _told(counts)}
            if after is Stage.CLEARED:
                values["subject"] = ""
            await connection.execute(sa.update(self._table).where(here).values(**values))

    async def _say(self, transaction: Transaction, wanted: Erasure) -> Counts:
        query = sa.select(self._table.c.erased)
        query = query.where(self._table.c.erasure_id == wanted.erasure_id)
        counts = await transaction.connection.scalar(query)
        await self._finish(transaction, replace(wanted, subject=""), counts or {})
        return {}

    async def _clear(self, wanted: Erasure) -> bool:
        """Bodies of events; False while the bus lacks one of them."""
        return all([await self._clear_events(wanted, event) for event in self._concerned])

    async def _clear_events(self, wanted: Erasure, event: type[Message]) -> bool:
        outbox, concerned = self._database.tables.outbox, self._concerned[event]
        mine = _about(outbox, event, wanted.tenant), outbox.c.body != b""
        after, all_sent = 0, True
        while True:
            query = sa.select(outbox).where(*mine, outbox.c.position > after)
            async with self._database.reading() as connection:
                rows = (await connection.execute(query.order_by("position").limit(PAGE))).all()
                found = [
                    row
                    for row in rows
                    if await concerned(connection, event.FromString(row.body), wanted)
                ]
            all_sent &= all(row.sent_time is not None for row in found)
            sent = [row.position for row in found if row.sent_time is not None]
            if sent:
                await self._blank(wanted, sent)
            if len(rows) < PAGE:
                return all_sent
            after = rows[-1].position

    async def _blank(self, wanted: Erasure, positions: list[int]) -> None:
        outbox = self._database.tables.outbox

        async def blank(transaction: Transaction, _: Erasure) -> Counts:
            which = sa.and_(outbox.c.position.in_(positions), outbox.c.body != b"")
            done = await transaction.connection.execute(
                sa.update(outbox).where(which).values(body=b"")
            )
            return {EVENTS: done.rowcount}

        await self._step(wanted, Stage.ERASED, Stage.ERASED, blank)

    @property
    def _table(self) -> sa.Table:
        return self._database.tables.erasures


def says(event: type[Message]) -> Finish:
    """Finishes with the service's own event of what it forgot: `erasure_id`, `erased` and
    `forget_time`."""

    async def finish(transaction: Transaction, wanted: Erasure, counts: Counts) -> None:
        now = Timestamp()
        now.GetCurrentTime()
        said = event(erasure_id=wanted.erasure_id, erased=counts, forget_time=now)
        name = wanted.erasure_id
        transaction.say(said, tenant=wanted.tenant, entity_id=name, cause=name)

    return finish


def _about(outbox: sa.Table, event: type[Message], tenant: str) -> sa.ColumnElement[bool]:
    """Said, or in a dead letter of the service's own."""
    letters = dead_letter_subject("%", event_name(event), tenant).replace("._.", ".%.")
    return sa.or_(outbox.c.subject == subject_of(event, tenant), outbox.c.subject.like(letters))


def _told(counts: Counter[str]) -> dict[str, int]:
    return {name: int(count) for name, count in sorted(counts.items()) if count}
