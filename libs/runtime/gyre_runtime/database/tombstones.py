"""Who was to be forgotten, as salted hashes, and up to when: nobody is named."""

from __future__ import annotations

import hashlib
import hmac
import secrets

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_runtime.database.database import Database
from gyre_runtime.database.transaction import insert_ignore

THE_ONE = 1


class Tombstones:
    """What is said by or to a subject up to its moment comes too late to be kept. Every method runs
    in a write transaction; a moment: seconds since 1970 (UTC)."""

    def __init__(self, database: Database) -> None:
        self._tables = database.tables
        self._salt = b""

    async def put(
        self, connection: AsyncConnection, tenant: str, subject: str, until: float
    ) -> None:
        """An older moment does not shorten a newer one."""
        await _take_turn(connection, tenant, alone=True)
        table, mark = self._tables.tombstones, await self.mark(connection, tenant, subject)
        row = {"mark": mark, "until": until}
        await connection.execute(insert_ignore(connection, table), row)
        older = sa.and_(table.c.mark == mark, table.c.until < until)
        await connection.execute(sa.update(table).where(older).values(until=until))

    async def until(self, connection: AsyncConnection, tenant: str, *subjects: str) -> float:
        """The latest moment of these; 0.0 where none was to be forgotten."""
        await _take_turn(connection, tenant, alone=False)
        named = [one for one in subjects if one]
        if not named or not await self._known_salt(connection):
            return 0.0
        table, marks = self._tables.tombstones, [self._hash(tenant, one) for one in named]
        query = sa.select(sa.func.max(table.c.until)).where(table.c.mark.in_(marks))
        return float(await connection.scalar(query) or 0.0)

    async def mark(self, connection: AsyncConnection, tenant: str, subject: str) -> str:
        """64 hexadecimal digits; another database has others."""
        if not await self._known_salt(connection):
            row = {"id": THE_ONE, "salt": secrets.token_hex(32)}
            await connection.execute(insert_ignore(connection, self._tables.salts), row)
            await self._known_salt(connection)
        return self._hash(tenant, subject)

    async def _known_salt(self, connection: AsyncConnection) -> bool:
        """Read every time until it is there: a transaction that made it may have failed."""
        table = self._tables.salts
        salt = await connection.scalar(sa.select(table.c.salt).where(table.c.id == THE_ONE))
        self._salt = bytes.fromhex(salt) if salt else b""
        return bool(salt)

    def _hash(self, tenant: str, subject: str) -> str:
        return hmac.new(self._salt, f"{tenant}\n{subject}".encode(), hashlib.sha256).hexdigest()


async def _take_turn(connection: AsyncConnection, tenant: str, *, alone: bool) -> None:
    """On PostgreSQL a write beside a new tombstone would neither see it nor be seen."""
    if connection.dialect.name == "postgresql":
        lock = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
        statement = sa.text(f"SELECT {lock}(hashtext(:name))")
        await connection.execute(statement, {"name": f"gyre.tombstones/{tenant}"})
