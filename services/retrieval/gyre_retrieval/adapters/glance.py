"""Short readings of a SQLite file that every search waits for."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

BUSY_SECONDS = 1.0


class Glance:
    """One statement, of what is committed when it begins, on the event loop.

    A few rows by key take SQLite less than the way to a thread and back, and a reader of a
    write-ahead log waits for no writer. SQLAlchemy's asynchronous SQLite goes that way for each
    step of a reading, and what it does around a statement takes five times the statement.
    """

    def __init__(self, file: Path, statement: sa.Select[*tuple[Any, ...]]) -> None:
        self._file = file
        self._text = str(statement.compile(dialect=sqlite.dialect(paramstyle="named")))
        self._connection: sqlite3.Connection | None = None

    def rows(self, values: Mapping[str, Any]) -> list[Any]:
        """Tuples in the order of the statement's columns."""
        if self._connection is None:
            self._connection = sqlite3.connect(
                self._file, timeout=BUSY_SECONDS, isolation_level=None
            )
        return self._connection.execute(self._text, values).fetchall()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
