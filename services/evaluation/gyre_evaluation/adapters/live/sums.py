"""Rows that add up: an insert that adds to the row that is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection


def _insert(connection: AsyncConnection, table: sa.Table) -> Any:
    insert = postgres_insert if connection.dialect.name == "postgresql" else sqlite_insert
    return insert(table)


async def add(
    connection: AsyncConnection,
    table: sa.Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    sums: Sequence[str],
    last: Sequence[str] = (),
) -> None:
    """sums: columns that are added; last: columns that are replaced."""
    if not rows:
        return
    put = _insert(connection, table)
    changed = {name: table.c[name] + put.excluded[name] for name in sums}
    changed |= {name: put.excluded[name] for name in last}
    keys = [column.name for column in table.primary_key.columns]
    await connection.execute(
        put.on_conflict_do_update(index_elements=keys, set_=changed), [dict(r) for r in rows]
    )


async def put(connection: AsyncConnection, table: sa.Table, row: Mapping[str, Any]) -> None:
    """Writes the row in place of the one with its key."""
    names = [name for name in row if not table.c[name].primary_key]
    await add(connection, table, [row], sums=(), last=names)


async def make(connection: AsyncConnection, table: sa.Table, row: Mapping[str, Any]) -> bool:
    """False where its key, or another unique one, is there already."""
    made = await connection.execute(
        _insert(connection, table).values(**row).on_conflict_do_nothing()
    )
    return bool(made.rowcount)
