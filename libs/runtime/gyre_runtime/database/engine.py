"""Engines: SQLite with one writer and fsync at every commit, or PostgreSQL."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from gyre_runtime.database.group_commit import GroupCommit
from gyre_runtime.database.one_trip import creator_of

BUSY_MS = 30_000


@dataclass(frozen=True)
class Engines:
    """writer: SQLite allows one writer, so its pool holds one connection.
    group: how SQLite's writes share commits; PostgreSQL groups those of its connections itself.
    """

    writer: AsyncEngine
    reader: AsyncEngine
    group: GroupCommit | None = None

    async def dispose(self) -> None:
        if self.group is not None:
            await self.group.close()
        await self.writer.dispose()
        await self.reader.dispose()


def engines(url: sa.URL, *, durable: bool = True) -> Engines:
    """durable: False skips fsync, for databases that die with the test."""
    if url.get_backend_name() != "sqlite":
        engine = create_async_engine(url, pool_pre_ping=True)
        return Engines(engine, engine)
    create = creator_of(url)
    writer = create_async_engine(url, async_creator=create, pool_size=1, max_overflow=0)
    reader = create_async_engine(url, async_creator=create, pool_size=4, max_overflow=4)
    for engine, begin in ((writer, "BEGIN IMMEDIATE"), (reader, "BEGIN")):
        _prepare(engine, begin, "FULL" if durable else "OFF")
    return Engines(writer, reader, GroupCommit(writer))


def file_of(url: sa.URL) -> Path | None:
    """The file of a SQLite database; None for one in memory or on a server."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))


def _prepare(engine: AsyncEngine, begin: str, synchronous: str) -> None:
    # https://docs.sqlalchemy.org/en/20/dialects/sqlite.html: the driver's own BEGIN must be off.
    @sa.event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        _write_ahead(cursor)
        cursor.execute(f"PRAGMA synchronous={synchronous}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    @sa.event.listens_for(engine.sync_engine, "handle_error")
    def on_error(context: sa.engine.ExceptionContext) -> None:
        if isinstance(context.original_exception, asyncio.CancelledError):
            # SQLAlchemy would close the connection under the transactions that share it.
            context.is_disconnect = False


def _write_ahead(cursor: Any) -> None:
    """SQLite does not wait, whatever its timeout, for another process that opens the same new file
    at this moment."""
    deadline = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            await_only(asyncio.sleep(0.05))
