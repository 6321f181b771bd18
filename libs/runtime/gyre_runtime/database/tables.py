"""Tables that the runtime keeps beside the service's own, in the service's metadata.

Times are seconds since 1970 (UTC).
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa


@dataclass(frozen=True)
class Tables:
    """outbox: what was said and whether the bus has it. inbox: what was heard, by consumer and
    event. receipts: what became of each message of a stream, for the ledger. erasures,
    tombstones, salts: see `erasing` and `tombstones`."""

    outbox: sa.Table
    inbox: sa.Table
    receipts: sa.Table
    erasures: sa.Table
    tombstones: sa.Table
    salts: sa.Table


def runtime_tables(metadata: sa.MetaData) -> Tables:
    """The tables in `metadata`; made there when asked for the first time."""
    if "gyre_outbox" not in metadata.tables:
        _outbox(metadata), _inbox(metadata), _receipts(metadata)
        _erasures(metadata), _tombstones(metadata), _salts(metadata)
    tables = metadata.tables
    return Tables(
        tables["gyre_outbox"],
        tables["gyre_inbox"],
        tables["gyre_receipts"],
        tables["gyre_erasures"],
        tables["gyre_tombstones"],
        tables["gyre_salts"],
    )


def _outbox(metadata: sa.MetaData) -> sa.Table:
    position = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    table = sa.Table(
        "gyre_outbox",
        metadata,
        sa.Column("position", position, primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.String(256), nullable=False, unique=True),
        sa.Column("stream", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(512), nullable=False),
        sa.Column("headers", sa.JSON, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("said_time", sa.Float, nullable=False),
        sa.Column("sent_time", sa.Float),
    )
    unsent = table.c.sent_time.is_(None)
    sa.Index("gyre_outbox_unsent", table.c.position, sqlite_where=unsent, postgresql_where=unsent)
    return table


def _inbox(metadata: sa.MetaData) -> sa.Table:
    """open_starts: starts in a row of which no end is known, the sign of a process killer."""
    return sa.Table(
        "gyre_inbox",
        metadata,
        sa.Column("consumer", sa.String(64), primary_key=True),
        sa.Column("event_key", sa.String(384), primary_key=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("open_starts", sa.Integer, nullable=False),
        sa.Column("redrive", sa.String(64), nullable=False),
        sa.Column("heard_time", sa.Float, nullable=False),
        sa.Column("applied_time", sa.Float),
        sa.Column("dead_time", sa.Float),
        sa.Index("gyre_inbox_heard", "heard_time"),
    )


def _receipts(metadata: sa.MetaData) -> sa.Table:
    """outcome: `applied` (or known already) or `dead`."""
    return sa.Table(
        "gyre_receipts",
        metadata,
        sa.Column("consumer", sa.String(64), primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("outcome", sa.String(16), nullable=False),
    )


def _erasures(metadata: sa.MetaData) -> sa.Table:
    """subject: empty once nothing is looked for any more."""
    return sa.Table(
        "gyre_erasures",
        metadata,
        sa.Column("erasure_id", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(256), nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("erased", sa.JSON, nullable=False),
    )


def _tombstones(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "gyre_tombstones",
        metadata,
        sa.Column("mark", sa.String(64), primary_key=True),
        sa.Column("until", sa.Double, nullable=False),
    )


def _salts(metadata: sa.MetaData) -> sa.Table:
    """One row, made when the first mark is."""
    return sa.Table(
        "gyre_salts",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("salt", sa.String(64), nullable=False),
    )
