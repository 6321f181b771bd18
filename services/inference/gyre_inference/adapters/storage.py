"""The service's database as the stories see it: what goes wrong is a fault."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from gyre_runtime.database import Database, Transaction
from gyre_runtime.failures import Overloaded as OutboxFull
from gyre_runtime.telemetry import logger
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_inference.domain.faults import Overloaded, Unavailable

_log = logger(__name__)


class Storage:
    """Raises `Unavailable` while the database cannot be used, `Overloaded` while it is full."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """See `Database.transaction`."""
        with _told_as_faults():
            async with self._database.transaction() as transaction:
                yield transaction

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """See `Database.reading`."""
        with _told_as_faults():
            async with self._database.reading() as connection:
                yield connection


@contextmanager
def _told_as_faults() -> Iterator[None]:
    try:
        yield
    except OutboxFull as error:
        raise Overloaded("nothing more can be kept now", retry_after=error.retry_after) from error
    except (SQLAlchemyError, OSError) as error:
        _log.error("database_failed", error=type(error).__name__)
        raise Unavailable("what is kept cannot be reached now", retry_after=1.0) from error
