"""The registry in the service's database; what it says goes into the outbox of the same commit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import sqlalchemy as sa
from gyre_runtime.database import Database

from gyre_inference.adapters.registry_rows import (
    find_version,
    holdings_of,
    move_in,
    seen,
    version_in,
)
from gyre_inference.adapters.revision import newest_revision, next_revision
from gyre_inference.adapters.shelf import DatabaseShelf
from gyre_inference.adapters.storage import Storage
from gyre_inference.adapters.tables import labels, moves, versions
from gyre_inference.domain.faults import NotFound
from gyre_inference.domain.registry import PLATFORM, Holdings, Key, Kind, Move, Version
from gyre_inference.ports import LabelChange

_POINTED = sa.select(versions, labels.c.label, labels.c.tenant.label("owner")).join(
    labels,
    sa.and_(
        labels.c.kind == versions.c.kind,
        labels.c.name == versions.c.name,
        labels.c.number == versions.c.number,
        versions.c.tenant.in_((labels.c.tenant, PLATFORM)),
    ),
)


class DatabaseRegistry:
    """`Registry` on SQLite or PostgreSQL. Writers queue at the row of the revision."""

    def __init__(self, database: Database) -> None:
        self._storage = Storage(database)

    @asynccontextmanager
    async def changing(self, key: Key) -> AsyncIterator[DatabaseShelf]:
        """See `Registry`."""
        async with self._storage.transaction() as transaction:
            revision = await next_revision(transaction.connection)
            held = await holdings_of(transaction.connection, key)
            yield DatabaseShelf(transaction, key, held, revision)

    async def revision(self) -> int:
        """See `Registry`."""
        async with self._storage.reading() as connection:
            return await newest_revision(connection)

    async def holdings(self, key: Key) -> Holdings:
        """See `Registry`."""
        async with self._storage.reading() as connection:
            return await holdings_of(connection, key)

    async def version(self, key: Key, number: int) -> Version:
        """See `Registry`."""
        async with self._storage.reading() as connection:
            found = await find_version(connection, key, versions.c.number == number)
        if found is None:
            raise NotFound(f"no {key.kind.value} {key.name!r} of version {number}")
        return found

    async def known(self, key: Key, digest: str) -> Version | None:
        """See `Registry`."""
        async with self._storage.reading() as connection:
            return await find_version(connection, key, versions.c.digest == digest)

    async def versions(self, key: Key, below: int, limit: int) -> list[Version]:
        """See `Registry`."""
        query = sa.select(versions).where(*seen(versions, key), versions.c.number < below)
        # Two rows of one number at most: the tenant's own hides the platform's.
        newest = query.order_by(versions.c.number.desc(), versions.c.tenant.desc())
        async with self._storage.reading() as connection:
            rows = (await connection.execute(newest.limit(2 * limit))).all()
        found = {row.number: version_in(row) for row in reversed(rows)}
        return sorted(found.values(), key=lambda one: -one.number)[:limit]

    async def names(self, tenant: str, kind: Kind, after: str, limit: int) -> list[str]:
        """See `Registry`."""
        query = sa.select(versions.c.name).distinct().order_by(versions.c.name).limit(limit)
        seen = versions.c.tenant.in_((tenant, PLATFORM)), versions.c.kind == kind.value
        async with self._storage.reading() as connection:
            rows = await connection.execute(query.where(*seen, versions.c.name > after))
            return [row.name for row in rows]

    async def moves(self, key: Key, limit: int) -> list[Move]:
        """See `Registry`."""
        query = sa.select(moves).where(*seen(moves, key)).order_by(moves.c.position.desc())
        async with self._storage.reading() as connection:
            rows = await connection.execute(query.limit(limit))
            return [move_in(row) for row in rows]

    async def changes(self, since: int) -> list[LabelChange]:
        """See `Registry`."""
        # The tenant's own comes last, above the platform's.
        query = _POINTED.where(labels.c.revision > since).order_by(versions.c.tenant)
        async with self._storage.reading() as connection:
            rows = (await connection.execute(query)).all()
        found: dict[tuple[Key, str], LabelChange] = {}
        for row in rows:
            key = Key(row.owner, Kind(row.kind), row.name)
            found[key, row.label] = LabelChange(key, row.label, version_in(row))
        return list(found.values())
