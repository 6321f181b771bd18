"""The database of one service: engines, migrations, transactions."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_runtime.database.appending import append
from gyre_runtime.database.engine import Engines, engines, file_of
from gyre_runtime.database.migrations import upgrade
from gyre_runtime.database.scrubbing import scrub
from gyre_runtime.database.tables import runtime_tables
from gyre_runtime.database.transaction import Transaction, outbox_rows
from gyre_runtime.events.envelope import Outgoing
from gyre_runtime.events.handling import handled
from gyre_runtime.failures import Overloaded

_inside: ContextVar[bool] = ContextVar("gyre_inside_transaction", default=False)


class Database:
    """SQLite (WAL, fsync at every commit) or PostgreSQL, by URL.

    url: `sqlite+aiosqlite:///<file>`, `sqlite+aiosqlite://` (dies with the object) or
        `postgresql+asyncpg://...`.
    metadata: the service's tables; the runtime adds its own to it.
    migrations: folder of alembic revisions; without it, tables are made as they are declared.
    """

    def __init__(self, url: str, metadata: sa.MetaData, *, migrations: Path | None = None) -> None:
        self._url = sa.make_url(url)
        self.metadata = metadata
        self.tables = runtime_tables(metadata)
        self.said = asyncio.Event()
        self.refusal: Overloaded | None = None
        self._migrations = migrations
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._engines: Engines | None = None

    @property
    def file(self) -> Path | None:
        return file_of(self._url)

    async def start(self) -> None:
        """Opens the database and brings its tables up to date. May be repeated after `stop`."""
        url, durable = self._url, self._url.get_backend_name() != "sqlite" or self.file is not None
        if not durable:
            self._scratch = tempfile.TemporaryDirectory(prefix="gyre-")
            url = url.set(database=f"{self._scratch.name}/memory.db")
        elif self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        self._engines = engines(url, durable=durable)
        async with self._engines.writer.begin() as connection:
            await connection.run_sync(upgrade, self.metadata, self._migrations if durable else None)

    async def stop(self) -> None:
        if self._engines is not None:
            await self._engines.dispose()
            self._engines = None
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    @contextlib.asynccontextmanager
    async def transaction(self, *, aside: bool = False) -> AsyncIterator[Transaction]:
        """A write transaction. Do slow work before it: SQLite has one writer.

        Raises `Overloaded` while the outbox or the disk is full, except for handlers.

        Inside a handler it marks the event as applied in the same commit, so a handler opens
        one; `aside=True` is for notes on the way (progress) that may be written again.
        """
        handling = None if aside else handled.get()
        self._refuse_callers(aside=aside)
        if handling is not None and handling.applied:
            raise RuntimeError("one event, one transaction: use transaction(aside=True) for notes")
        async with self._write() as transaction:
            if handling is not None:
                await transaction.apply(handling)
            yield transaction
            await transaction.write_outbox()
        if handling is not None:
            handling.applied = True
        if transaction.has_said:
            self.said.set()
        transaction.committed()

    async def append(self, events: Sequence[Outgoing]) -> None:
        """Events without rows of the service, durable when it returns; for callers, not handlers.

        Much cheaper than a transaction on SQLite. Raises `Overloaded` as `transaction` does.
        """
        self._refuse_callers(aside=False)
        if self._opened.group is not None:
            await append(self._opened.group, self.tables.outbox, outbox_rows(events))
        else:
            async with self._write() as transaction:
                transaction.put(*events)
                await transaction.write_outbox()
        self.said.set()

    def _refuse_callers(self, *, aside: bool) -> None:
        """What the bus delivers is always handled: it makes room."""
        if self.refusal is not None and not aside and handled.get() is None:
            raise self.refusal

    async def scrub(self) -> None:
        """Rewrites a SQLite file, so that what was deleted or replaced is in it no more, nor in its
        write-ahead log; writers wait meanwhile. PostgreSQL does it in its own time, by VACUUM.

        Raises `Unscrubbed` where somebody reads an older state for long: try again.
        """
        if self.file is not None:
            await asyncio.to_thread(scrub, self.file)

    async def count_unsent(self, limit: int) -> int:
        """Events in the outbox that the bus does not have, counted up to `limit`."""
        outbox = self.tables.outbox
        unsent = sa.select(outbox.c.position).where(outbox.c.sent_time.is_(None)).limit(limit)
        async with self.reading() as connection:
            count = await connection.scalar(
                sa.select(sa.func.count()).select_from(unsent.subquery())
            )
        return int(count or 0)

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Reads one consistent state; what is written here is rolled back."""
        async with self._opened.reader.connect() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def _write(self) -> AsyncIterator[Transaction]:
        if _inside.get():
            raise RuntimeError("a transaction is open here already: pass it on, do not nest")
        mark = _inside.set(True)
        try:
            async with self._begin() as connection:
                yield Transaction(connection, self.tables)
        finally:
            _inside.reset(mark)

    def _begin(self) -> AbstractAsyncContextManager[AsyncConnection]:
        opened = self._opened
        return opened.writer.begin() if opened.group is None else opened.group.transaction()

    @property
    def _opened(self) -> Engines:
        if self._engines is None:
            raise RuntimeError("the database is not started")
        return self._engines
