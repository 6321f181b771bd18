"""One write transaction: own rows, events said and the event heard commit together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_runtime.database.tables import Tables
from gyre_runtime.events.compose import compose
from gyre_runtime.events.envelope import Outgoing
from gyre_runtime.events.handling import Handling


class AlreadyApplied(Exception):
    """The event being handled was applied before; the bus acknowledges it and goes on."""


class Transaction:
    """Given by `Database.transaction()`; commits when its block ends without an exception."""

    def __init__(self, connection: AsyncConnection, tables: Tables) -> None:
        self.connection = connection
        self._tables = tables
        self._said: list[Outgoing] = []
        self._callbacks: list[Callable[[], None]] = []

    def say(self, event: Message, *, tenant: str, entity_id: str, cause: str | None = None) -> None:
        """Puts the event into the outbox; the relay publishes it after the commit.

        cause: what the id is derived from; by default the event being handled, else random.
        Raises ValueError when the tenant is no token or the event is over 900 KB.
        """
        self.put(compose(event, tenant=tenant, entity_id=entity_id, cause=cause))

    def put(self, *events: Outgoing) -> None:
        """Puts events into the outbox that are composed already."""
        self._said.extend(events)

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Called once after the commit, e.g. to wake watchers; never after a rollback."""
        self._callbacks.append(callback)

    @property
    def has_said(self) -> bool:
        return bool(self._said)

    async def write_outbox(self) -> None:
        if not self._said:
            return
        statement = insert_ignore(self.connection, self._tables.outbox)
        await self.connection.execute(statement, outbox_rows(self._said))

    async def apply(self, handling: Handling) -> None:
        """Marks the heard event as applied; raises `AlreadyApplied`.

        The row is locked from here to the commit, so two deliveries cannot both apply.
        """
        inbox = self._tables.inbox
        key = sa.and_(inbox.c.consumer == handling.consumer, inbox.c.event_key == handling.key)
        fresh = sa.and_(key, inbox.c.applied_time.is_(None))
        marked = await self.connection.execute(
            inbox.update().where(fresh).values(applied_time=time.time(), open_starts=0)
        )
        if marked.rowcount == 0:
            raise AlreadyApplied(handling.envelope.event_id)
        await self.write_receipt(handling.consumer, handling.sequence, "applied")

    async def write_receipt(self, consumer: str, sequence: int, outcome: str) -> None:
        statement = insert_ignore(self.connection, self._tables.receipts)
        row = {"consumer": consumer, "sequence": sequence, "outcome": outcome}
        await self.connection.execute(statement, row)

    def committed(self) -> None:
        for callback in self._callbacks:
            callback()


def insert_ignore(connection: AsyncConnection, table: sa.Table) -> sa.Executable:
    """An insert that leaves rows alone which are there already."""
    if connection.dialect.name == "postgresql":
        return postgres_insert(table).on_conflict_do_nothing()
    return sqlite_insert(table).on_conflict_do_nothing()


def upsert(connection: AsyncConnection, table: sa.Table, changed: list[str]) -> sa.Executable:
    """An insert that sets the columns `changed` of rows which are there already."""
    return _upsert(connection.dialect.name, table, tuple(changed))


@cache  # putting it together takes longer than running it
def _upsert(dialect: str, table: sa.Table, changed: tuple[str, ...]) -> sa.Executable:
    keys: Any = table.primary_key.columns.keys()
    if dialect == "postgresql":
        new = postgres_insert(table)
        columns = {name: new.excluded[name] for name in changed}
        return new.on_conflict_do_update(index_elements=keys, set_=columns)
    put = sqlite_insert(table)
    return put.on_conflict_do_update(keys, set_={name: put.excluded[name] for name in changed})


def outbox_rows(events: Sequence[Outgoing]) -> list[dict[str, Any]]:
    """As the outbox keeps them, said now."""
    now = time.time()
    return [
        {
            "event_id": event.event_id,
            "stream": event.stream,
            "subject": event.subject,
            "headers": event.headers,
            "body": event.body,
            "said_time": now,
            "sent_time": None,
        }
        for event in events
    ]
