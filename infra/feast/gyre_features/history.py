"""The offline store: a folder of Parquet files for each kind, only ever added to."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gyre_features.definitions import CREATED_TIME, EVENT_TIME, FEATURES, KEYS

SMALL_FILES = 64
NOBODY = "nobody"
KNOWN_FROM = 86_400
_LONG_AGO = datetime.fromtimestamp(KNOWN_FROM, UTC)
_MERGED = "merged-"
_STAMP = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        *((key, pa.string()) for key in KEYS),
        *((name, pa.float64()) for name in FEATURES),
        (EVENT_TIME, _STAMP),
        (CREATED_TIME, _STAMP),
    ]
)


class History:
    """Of one kind. A file appears whole, by renaming."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self) -> None:
        """Feast reads the schema from a file, and fails where a join finds nothing at all: so a row
        of nobody is there from the start."""
        self._folder.mkdir(parents=True, exist_ok=True)
        nobody = dict.fromkeys(KEYS, NOBODY) | dict.fromkeys(FEATURES, 0.0)
        times = {EVENT_TIME: _LONG_AGO, CREATED_TIME: _LONG_AGO}
        self._put(NOBODY, pa.Table.from_pylist([nobody | times], SCHEMA))

    def add(self, rows: pd.DataFrame, batch: str) -> None:
        """Durable when it returns; the same batch again replaces itself."""
        self._put(batch, pa.Table.from_pandas(rows, SCHEMA, preserve_index=False))
        lasting = (_MERGED, NOBODY)
        small = [one for one in self._files() if not one.name.startswith(lasting)]
        if len(small) > SMALL_FILES:
            self._merge(small)

    def keys(self) -> set[tuple[str, ...]]:
        """Of everything that has a row. Feast must not be asked for others: its file store sorts
        what it joined by a column that is null for them, and Dask fails on a partition of nulls."""
        table = pq.read_table(self._folder, columns=list(KEYS)).group_by(list(KEYS)).aggregate([])
        columns = [table.column(name).to_pylist() for name in KEYS]
        return set(zip(*columns, strict=True))

    def _merge(self, small: list[Path]) -> None:
        """A crash between both steps leaves rows twice, which a point-in-time join does not see."""
        table = pa.concat_tables([pq.read_table(one, schema=SCHEMA) for one in small])
        self._put(f"{_MERGED}{uuid.uuid4().hex}", table)
        for one in small:
            one.unlink()

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.parquet"))

    def _put(self, name: str, table: pa.Table) -> None:
        # Feast reads whatever lies in the folder, so an unfinished file must lie beside it.
        unfinished = self._folder.with_name(f"{self._folder.name}.{name}.unfinished")
        pq.write_table(table, unfinished)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.rename(self._folder / f"{name}.parquet")
