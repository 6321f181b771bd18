"""Transactions that are ready at the same time share one commit, which is one fsync."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import Future
from collections.abc import AsyncIterator, Iterator
from contextvars import Context
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction

from gyre_runtime.database.one_trip import OneTripConnection, driver_of


@dataclass
class _Group:
    """The transactions of one commit. ended: what became of it, for all of them."""

    connection: AsyncConnection
    driver: OneTripConnection
    transaction: AsyncTransaction
    ended: Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @contextlib.contextmanager
    def member(self) -> Iterator[AsyncConnection]:
        """One that fails undoes its own work only."""
        self.driver.ahead("SAVEPOINT member")
        try:
            yield self.connection
        except BaseException:
            self.driver.ahead("ROLLBACK TO member")
            raise
        finally:
            self.driver.ahead("RELEASE member")

    async def commit(self) -> None:
        try:
            await self.transaction.commit()
        except BaseException:
            # SQLAlchemy notes a roll back of what could not be committed, but does none.
            await self.transaction.rollback()
            await self.driver.rollback()
            raise

    async def end(self) -> None:
        """Waits for the commit, also where the caller is cancelled: its work may be committed."""
        try:
            await asyncio.wait([self.ended])
        except asyncio.CancelledError:
            await asyncio.wait([self.ended])
            raise
        self.ended.result()


class GroupCommit:
    """Write transactions of one SQLite database. They run one after the other, each in a
    savepoint; the commit queues behind those that waited when the first of its group began."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._turn = asyncio.Lock()  # serves in the order of asking
        self._connection: AsyncConnection | None = None
        self._group: _Group | None = None
        self._committing: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """To be called when no transaction is open."""
        if self._connection is not None:
            await self._connection.close()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Committed when it ends; where the commit fails, its error is raised by each.

        What the block raises waits for the commit too: it may follow from rows of a neighbour.
        """
        group: _Group | None = None
        try:
            async with self._turn:
                group = self._group or await self._open()
                with group.member() as connection:
                    yield connection
        finally:
            if group is not None:
                await group.end()

    @contextlib.asynccontextmanager
    async def statement(self) -> AsyncIterator[OneTripConnection]:
        """For one statement, which needs no transaction where nobody else has one open."""
        async with self._turn:
            group = self._group
            yield await driver_of(await self._connected()) if group is None else group.driver
        if group is not None:
            await group.end()

    async def _open(self) -> _Group:
        connection = await self._connected()
        driver, transaction = await driver_of(connection), await connection.begin()
        self._group = group = _Group(connection, driver, transaction)
        # In an empty context: the commit is for many events, not for the one that came first.
        self._committing = asyncio.create_task(self._commit(group), context=Context())
        return group

    async def _connected(self) -> AsyncConnection:
        """One connection, kept: to fetch it from the pool costs more than a statement."""
        if self._connection is None:
            self._connection = await self._engine.connect()
        return self._connection

    async def _commit(self, group: _Group) -> None:
        try:
            async with self._turn:
                self._group = None
                await group.commit()
        except Exception as error:
            group.ended.set_exception(error)
        else:
            group.ended.set_result(None)
        finally:
            group.ended.cancel()  # where the process is told to end at once
