"""Attempts kept in the inbox of the service's database, many starts in one commit."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from gyre_runtime.bus.attempts import START_LIMIT, Standing, Start
from gyre_runtime.bus.gathering import Gathering
from gyre_runtime.database import AlreadyApplied, Database
from gyre_runtime.database.transaction import Transaction, insert_ignore, upsert
from gyre_runtime.events.handling import Handling

Row = dict[str, Any]
Rows = dict[tuple[str, str], Row]
_GROUP_LIMIT = 200


@dataclass(frozen=True)
class _Request:
    handling: Handling
    redrive: str
    alone: bool


class InboxAttempts:
    """See `Attempts`. One object per service: starts at the same time share one commit, and so
    do ends of handlers that open no transaction of their own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._starts = Gathering(self._begin_group, _GROUP_LIMIT)
        self._ends = Gathering(self._apply_group, _GROUP_LIMIT)

    async def begin(
        self, handling: Handling, *, deliveries: int, redrive: str, alone: bool
    ) -> Start:
        return await self._starts.ask(_Request(handling, redrive, alone))

    async def applied(self, handling: Handling) -> None:
        if not await self._ends.ask(handling):
            raise AlreadyApplied(handling.envelope.event_id)
        handling.applied = True

    async def passed(self, handling: Handling) -> None:
        async with self._database.transaction(aside=True) as transaction:
            await transaction.write_receipt(handling.consumer, handling.sequence, "applied")

    async def failed(self, handling: Handling, *, counts: bool) -> None:
        inbox = self._database.tables.inbox
        attempts = inbox.c.attempts if counts else inbox.c.attempts - 1
        async with self._database.transaction(aside=True) as transaction:
            await transaction.connection.execute(
                inbox.update().where(self._is(handling)).values(open_starts=0, attempts=attempts)
            )

    async def dead(self, handling: Handling) -> None:
        row = _new_row(handling) | {"dead_time": time.time()}
        inbox = self._database.tables.inbox
        async with self._database.transaction(aside=True) as transaction:
            connection = transaction.connection
            await connection.execute(upsert(connection, inbox, ["dead_time"]), row)
            await transaction.write_receipt(handling.consumer, handling.sequence, "dead")

    async def _begin_group(self, group: Sequence[_Request]) -> list[Start]:
        async with self._database.transaction(aside=True) as transaction:
            rows = await self._rows(transaction, [request.handling for request in group])
            starts = [_count(request, rows) for request in group]
            begun = _of(group, starts, Standing.FRESH)
            await self._put(
                transaction, ["attempts", "open_starts", "redrive", "dead_time"], begun, rows
            )
            settled = _of(group, starts, Standing.APPLIED, Standing.DEAD)
            await self._put_receipts(transaction, settled, rows)
        return starts

    async def _apply_group(self, group: Sequence[Handling]) -> list[bool]:
        async with self._database.transaction(aside=True) as transaction:
            rows = await self._rows(transaction, group)
            marks = [_mark(handling, rows) for handling in group]
            fresh = [handling for handling, mark in zip(group, marks, strict=True) if mark]
            await self._put(transaction, ["applied_time", "open_starts"], fresh, rows)
            await self._put_receipts(transaction, fresh, rows)
        return marks

    async def _rows(self, transaction: Transaction, group: Sequence[Handling]) -> Rows:
        inbox = self._database.tables.inbox
        query = (
            sa.select(inbox)
            .where(sa.tuple_(inbox.c.consumer, inbox.c.event_key).in_(map(_key, group)))
            .with_for_update()
        )
        found = (await transaction.connection.execute(query)).mappings()
        return {(row["consumer"], row["event_key"]): dict(row) for row in found}

    async def _put(
        self, transaction: Transaction, changed: list[str], group: Sequence[Handling], rows: Rows
    ) -> None:
        if group:
            statement = upsert(transaction.connection, self._database.tables.inbox, changed)
            await transaction.connection.execute(statement, [rows[_key(one)] for one in group])

    async def _put_receipts(
        self, transaction: Transaction, group: Sequence[Handling], rows: Rows
    ) -> None:
        if group:
            statement = insert_ignore(transaction.connection, self._database.tables.receipts)
            await transaction.connection.execute(statement, [_receipt(one, rows) for one in group])

    def _is(self, handling: Handling) -> sa.ColumnElement[bool]:
        inbox = self._database.tables.inbox
        return sa.and_(inbox.c.consumer == handling.consumer, inbox.c.event_key == handling.key)


def _count(request: _Request, rows: Rows) -> Start:
    """Decides, and counts the start in `rows` where the handler will run."""
    row = rows.setdefault(_key(request.handling), _new_row(request.handling))
    if row["applied_time"] is not None:
        return Start(Standing.APPLIED, row["attempts"])
    if request.redrive and request.redrive != row["redrive"]:
        row |= {"attempts": 0, "open_starts": 0, "redrive": request.redrive, "dead_time": None}
    if row["dead_time"] is not None:
        return Start(Standing.DEAD, row["attempts"])
    if row["open_starts"] >= START_LIMIT:
        return Start(Standing.KILLER, row["attempts"])
    if row["open_starts"] and not request.alone:
        return Start(Standing.SUSPECT, row["attempts"])
    row |= {"attempts": row["attempts"] + 1, "open_starts": row["open_starts"] + 1}
    return Start(Standing.FRESH, row["attempts"])


def _new_row(handling: Handling) -> Row:
    return {
        "consumer": handling.consumer,
        "event_key": handling.key,
        "attempts": 0,
        "open_starts": 0,
        "redrive": "",
        "heard_time": time.time(),
        "applied_time": None,
        "dead_time": None,
    }


def _mark(handling: Handling, rows: Rows) -> bool:
    """Marks the event as applied in `rows`; False where it was applied before."""
    row = rows.setdefault(_key(handling), _new_row(handling))
    if row["applied_time"] is not None:
        return False
    row |= {"applied_time": time.time(), "open_starts": 0}
    return True


def _key(handling: Handling) -> tuple[str, str]:
    return handling.consumer, handling.key


def _of(group: Sequence[_Request], starts: list[Start], *standings: Standing) -> list[Handling]:
    pairs = zip(group, starts, strict=True)
    return [request.handling for request, start in pairs if start.standing in standings]


def _receipt(handling: Handling, rows: Rows) -> Row:
    outcome = "applied" if rows[_key(handling)]["applied_time"] is not None else "dead"
    return {"consumer": handling.consumer, "sequence": handling.sequence, "outcome": outcome}
