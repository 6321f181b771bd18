"""One counter of all changes that processes hold in memory: cheap to ask, and a lock of writers."""

from __future__ import annotations

import sqlalchemy as sa
from gyre_runtime.database.transaction import insert_ignore
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_inference.adapters.tables import registry_state

_ROW = 1


async def next_revision(connection: AsyncConnection) -> int:
    """Held until the commit, so revisions become visible in their order."""
    await connection.execute(insert_ignore(connection, registry_state), {"id": _ROW, "revision": 0})
    grown = sa.update(registry_state).values(revision=registry_state.c.revision + 1)
    result = await connection.execute(grown.returning(registry_state.c.revision))
    return int(result.scalar_one())


async def newest_revision(connection: AsyncConnection) -> int:
    """0 before the first change."""
    return int(await connection.scalar(sa.select(registry_state.c.revision)) or 0)
