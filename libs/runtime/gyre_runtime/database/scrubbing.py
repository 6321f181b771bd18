"""What was deleted leaves a SQLite file for good."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

PATIENCE = 60.0


class Unscrubbed(Exception):
    """A reader holds an older state of the file: its log still has it."""


def scrub(file: Path) -> None:
    """Overwriting deleted rows is not enough: a page that was split keeps copies of what moved, so
    the whole file is written anew. Raises `Unscrubbed`."""
    with contextlib.closing(
        sqlite3.connect(file, timeout=PATIENCE, isolation_level=None)
    ) as connection:
        connection.execute("VACUUM")
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise Unscrubbed(file.name)
