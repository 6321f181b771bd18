"""Empty databases of the service, for contract tests."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from gyre_inference.adapters import erasures
from gyre_inference.adapters.tables import MIGRATIONS, metadata
from gyre_runtime.database import Database
from sqlalchemy.ext.asyncio import create_async_engine

assert erasures.erasures.metadata is metadata  # imported, so that its table is known here


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[Database]:
    """kind: `sqlite` or `postgres`."""
    url = f"sqlite+aiosqlite:///{folder}/inference.db" if kind == "sqlite" else await _postgres()
    database = Database(url, metadata, migrations=MIGRATIONS)
    await database.start()
    yield database
    await database.stop()


async def _postgres() -> str:
    url = os.environ.get("GYRE_TEST_POSTGRES_URL")
    if url is None:
        pytest.skip("GYRE_TEST_POSTGRES_URL names no PostgreSQL (postgresql+asyncpg://...)")
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
    await engine.dispose()
    return url


async def subjects(database: Database) -> list[str]:
    """Of what was said, in order."""
    outbox = database.tables.outbox
    async with database.reading() as connection:
        rows = await connection.execute(sa.select(outbox.c.subject).order_by(outbox.c.position))
        return [row.subject for row in rows]
