"""Rows of the registry as nouns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_inference.adapters.tables import labels, versions
from gyre_inference.domain.registry import PLATFORM, Holdings, Key, Kind, Move, Version


async def holdings_of(connection: AsyncConnection, key: Key) -> Holdings:
    """What the tenant sees under the name."""
    newest = sa.select(sa.func.max(versions.c.number)).where(*seen(versions, key))
    # The tenant's own comes last, above the platform's.
    pointing = sa.select(labels).where(*seen(labels, key)).order_by(labels.c.tenant)
    rows = (await connection.execute(pointing)).all()
    return Holdings(
        newest=int(await connection.scalar(newest) or 0),
        labels={row.label: row.number for row in rows},
        own=frozenset(row.label for row in rows if row.tenant == key.tenant),
    )


async def find_version(
    connection: AsyncConnection, key: Key, condition: sa.ColumnElement[bool]
) -> Version | None:
    """The tenant's own goes before the platform's."""
    query = sa.select(versions).where(*seen(versions, key), condition)
    row = (await connection.execute(query.order_by(versions.c.tenant.desc()))).first()
    return None if row is None else version_in(row)


def seen(table: sa.Table, key: Key) -> tuple[sa.ColumnElement[bool], ...]:
    """Rows under the name: the tenant's own and the platform's."""
    return (
        table.c.tenant.in_((key.tenant, PLATFORM)),
        table.c.kind == key.kind.value,
        table.c.name == key.name,
    )


def columns_of(key: Key) -> dict[str, Any]:
    """Of every table."""
    return {"tenant": key.tenant, "kind": key.kind.value, "name": key.name}


def version_in(row: sa.Row[Any]) -> Version:
    """A row of `versions`."""
    return Version(
        Key(row.tenant, Kind(row.kind), row.name),
        row.number,
        row.body,
        row.digest,
        row.message,
        row.author,
        _time(row.register_time),
    )


def move_in(row: sa.Row[Any]) -> Move:
    """A row of `moves`."""
    return Move(
        row.label,
        row.from_number,
        row.to_number,
        row.author,
        row.message,
        _time(row.move_time),
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
