"""SQLite behind a thread of its own, with one trip to it for each statement.

SQLAlchemy's cursor over aiosqlite crosses to the thread four times (open, execute, fetch, close);
each time wakes the event loop, which costs several times what SQLite itself does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Self

import aiosqlite
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

_CHUNK = 64


def creator_of(url: sa.URL) -> Callable[[], Awaitable[aiosqlite.Connection]]:
    """What `create_async_engine(async_creator=...)` wants, for a SQLite database in a file."""
    arguments, options = url.get_dialect()().create_connect_args(url)
    connect = partial(sqlite3.connect, *arguments, **options)

    async def create() -> aiosqlite.Connection:
        connection = OneTripConnection(connect, _CHUNK)
        connection._thread.daemon = True  # as SQLAlchemy has it: no process waits for it
        return await connection

    return create


async def driver_of(connection: AsyncConnection) -> OneTripConnection:
    """What is below a connection whose engine was made with `creator_of`."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, OneTripConnection)
    return driver


class OneTripCursor:
    """Executes, fetches everything and closes in one go. What SQLAlchemy asks of a cursor."""

    description: Any = None
    rowcount: int = -1
    lastrowid: int | None = None
    arraysize: int = 1

    def __init__(self, connection: OneTripConnection) -> None:
        self._connection = connection
        self._rows: list[Any] = []

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, statement: str, parameters: Any = ()) -> None:
        if statement.startswith("BEGIN"):
            self._connection.begin(statement)
        else:
            await self._connection.run(self._run, sqlite3.Cursor.execute, statement, parameters)

    async def executemany(self, statement: str, parameters: Any) -> None:
        await self._connection.run(self._run, sqlite3.Cursor.executemany, statement, parameters)

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """It is closed already."""

    def _run(
        self,
        cursor: sqlite3.Cursor,
        execute: Callable[..., sqlite3.Cursor],
        statement: str,
        values: Any,
    ) -> None:
        execute(cursor, statement, values or ())
        self.description = cursor.description
        self._rows = cursor.fetchall() if cursor.description else []
        self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid


class OneTripConnection(aiosqlite.Connection):
    """A connection whose cursors cross to its thread once a statement. What is called by a caller
    that was cancelled still runs, in its turn."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._ahead: list[str] = []
        self._begun = False

    def cursor(self) -> OneTripCursor:  # type: ignore[override]
        return OneTripCursor(self)

    def begin(self, statement: str) -> None:
        """Of no use without a statement, so it travels with the first one."""
        self._begun = True
        self.ahead(statement)

    def ahead(self, *statements: str) -> None:
        """Runs them in the trip of the statement that comes next, which fails where they do."""
        self._ahead += statements

    async def run(self, function: Callable[..., None], *arguments: Any) -> None:
        """Calls the function in the connection's thread, with a cursor."""
        ahead, self._ahead = self._ahead, []
        await self._execute(self._run, self._begun, ahead, function, *arguments)  # type: ignore[no-untyped-call]

    async def commit(self) -> None:
        if self._begun:
            await self.run(sqlite3.Cursor.execute, "COMMIT")
            self._begun = False

    async def rollback(self) -> None:
        if self._begun:
            self._ahead = []
            await super().rollback()
            self._begun = False

    def _run(
        self, begun: bool, ahead: Sequence[str], function: Callable[..., None], *arguments: Any
    ) -> None:
        cursor = self._conn.cursor()
        try:
            for statement in ahead:
                cursor.execute(statement)
            if begun and not self._conn.in_transaction:
                # Otherwise each statement that follows would commit itself.
                raise sqlite3.OperationalError("SQLite gave up the transaction")
            function(cursor, *arguments)
        finally:
            cursor.close()
