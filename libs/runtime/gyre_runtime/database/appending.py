"""Events alone into the outbox: one statement, one trip to SQLite's thread."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from gyre_runtime.database.group_commit import GroupCommit

Row = dict[str, Any]


async def append(writer: GroupCommit, outbox: sa.Table, rows: Sequence[Row]) -> None:
    """Durable when it returns; rows that are there already are left alone. SQLite only.
    Raises SQLAlchemy's OperationalError where the disk is full or the database is locked.

    A statement outside of a transaction commits itself. Begin, insert, commit and roll back by
    SQLAlchemy cross to the driver's thread sixteen times.
    """
    columns = [column.name for column in outbox.columns if not column.primary_key]
    places = ", ".join([f"({', '.join('?' * len(columns))})"] * len(rows))
    statement = f"INSERT OR IGNORE INTO {outbox.name} ({', '.join(columns)}) VALUES {places}"
    values = [_value(row[column]) for row in rows for column in columns]
    async with writer.statement() as driver:
        try:
            await driver.run(sqlite3.Cursor.execute, statement, values)
        except sqlite3.Error as error:
            raise sa.exc.OperationalError(statement, {}, error) from error


def _value(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict) else value
