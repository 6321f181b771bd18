"""Rows as Parquet: the same rows are the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gyre_retraining.domain.assembly import DEMONSTRATIONS, PAIRS, PREFERENCES, TEXTS, THUMBS
from gyre_retraining.domain.manifest import Assembly, lineage_of
from gyre_retraining.domain.rows import Row

WEIGHT = 1.0
ROWS_AT_ONCE = 4096


def write_split(path: Path, assembly: Assembly, rows: Sequence[Row], columns: list[str]) -> None:
    """columns: of features; a row of which a feature was not known has null."""
    import pyarrow as pa  # here: it takes a tenth of the start

    fields = [("row_id", pa.string()), *_FIELDS[assembly.settings.form](pa)]
    fields += [("language", pa.string()), ("weight", pa.float64())]
    fields += [(name, pa.float64()) for name in columns]
    known = assembly.features or {}
    given = [_record(row, known.get(row.row_id, {}), columns) for row in rows]
    _write(path, given, pa.schema(fields))


def write_lineage(path: Path, rows: Sequence[Row]) -> None:
    import pyarrow as pa

    schema = pa.schema([(name, pa.string()) for name in ("row_id", "kind", "id")])
    given = [{"row_id": row, "kind": kind, "id": name} for row, kind, name in lineage_of(rows)]
    _write(path, given, schema)


def _record(row: Row, known: Mapping[str, float], columns: Sequence[str]) -> dict[str, Any]:
    record = {"row_id": row.row_id, **row.content, "language": row.language, "weight": WEIGHT}
    return record | {name: known.get(name) for name in columns}


def _write(path: Path, rows: list[dict[str, Any]], schema: Any) -> None:
    """Every setting that shapes the bytes is named: a library's default may change."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(
        pa.Table.from_pylist(rows, schema),
        path,
        row_group_size=ROWS_AT_ONCE,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=3,
        use_dictionary=False,
        write_statistics=False,
    )


def _messages(pa: Any) -> tuple[str, Any]:
    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    return ("messages", pa.list_(message))


_FIELDS: Mapping[str, Any] = {
    DEMONSTRATIONS: lambda pa: [_messages(pa), ("completion", pa.string())],
    PREFERENCES: lambda pa: [_messages(pa), ("chosen", pa.string()), ("rejected", pa.string())],
    THUMBS: lambda pa: [_messages(pa), ("completion", pa.string()), ("label", pa.bool_())],
    TEXTS: lambda pa: [("text", pa.string())],
    PAIRS: lambda pa: [
        ("query", pa.string()),
        ("positive", pa.string()),
        ("negatives", pa.list_(pa.string())),
    ],
}
