"""Tables of the catalogue. Names and ids are kept as they are; keys hold tenant and collection."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

MIGRATIONS = Path(__file__).parent / "migrations"


def _document() -> list[sa.Column[str]]:
    return [
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("collection", sa.String(64), primary_key=True),
        sa.Column("document_id", sa.Text, primary_key=True),
    ]


def _version() -> list[sa.Column[int]]:
    return [
        sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
    ]


metadata = sa.MetaData()

collections = sa.Table(
    "collections",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("generation", sa.BigInteger, nullable=False, server_default="0"),
)

indexes = sa.Table(
    "indexes",
    metadata,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("collection", sa.String(64), nullable=False),
    sa.Column("embedder", sa.Text, nullable=False),
    sa.Column("dimension", sa.Integer, nullable=False),
    sa.Column("in_use", sa.Boolean, nullable=False),
    sa.Index(
        "indexes_one_in_use",
        "collection",
        unique=True,
        sqlite_where=sa.text("in_use"),
        postgresql_where=sa.text("in_use"),
    ),
)

documents = sa.Table(
    "documents",
    metadata,
    *_document(),
    sa.Column("deleted_revision", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("revision", sa.BigInteger, comment="in force; null when none is"),
    sa.Column("attempt", sa.Integer),
    sa.Column("revision_id", sa.Text),
    sa.Column("chunk_count", sa.Integer),
    sa.Column("embedder", sa.Text),
    sa.Column("generation", sa.BigInteger, nullable=False, server_default="0"),
)

arrivals = sa.Table(
    "arrivals",
    metadata,
    *_document(),
    *_version(),
    sa.Column("part_index", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("part_count", sa.Integer, nullable=False),
    sa.Column("revision_id", sa.Text, nullable=False),
    sa.Column("chunk_count", sa.Integer, nullable=False),
    sa.Column("embedder", sa.Text, nullable=False),
)

leavings = sa.Table(
    "leavings",
    metadata,
    *_document(),
    *_version(),
    sa.Column("since", sa.Float, nullable=False),
)

holds = sa.Table(
    "holds",
    metadata,
    sa.Column("collection", sa.String(64), primary_key=True),
    sa.Column("until", sa.Double, nullable=False, comment="nothing comes into force before"),
)

reindexes = sa.Table(
    "reindexes",
    metadata,
    sa.Column("reindex_id", sa.String(64), primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("principal", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("collection", sa.String(64), nullable=False),
    sa.Column("index_name", sa.String(255), nullable=False),
    sa.Column("embedder", sa.Text, nullable=False),
    sa.Column("dimension", sa.Integer, nullable=False),
    sa.Column("previous_name", sa.String(255), nullable=False),
    sa.Column("previous_embedder", sa.Text, nullable=False),
    sa.Column("previous_dimension", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("detail", sa.Text, nullable=False, server_default=""),
    sa.Column("start_time", sa.Double, nullable=False),
    sa.Column("build_time", sa.Double),
    sa.Column("switch_time", sa.Double),
    sa.Column("keep_until", sa.Double),
    sa.Column("end_time", sa.Double),
    sa.Column("owner", sa.String(64), nullable=False, server_default=""),
    sa.Column("lease_until", sa.Double, nullable=False, server_default="0"),
    sa.Column("judged", sa.JSON),
    sa.Column("gated", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("model", sa.Text, nullable=False, server_default=""),
    sa.Column("creation_key", sa.String(255)),
    sa.Column("gate_id", sa.String(64), nullable=False, server_default=""),
    sa.Column("verdict", sa.String(16), nullable=False, server_default=""),
    sa.Column("needs_approval", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("reasons", sa.Text, nullable=False, server_default=""),
    sa.Column("granted", sa.Boolean),
    sa.Index("reindexes_creation", "creation_key", unique=True),
)

wishes = sa.Table(
    "reindex_wishes",
    metadata,
    sa.Column("collection", sa.String(64), primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("embedder", sa.Text, nullable=False),
    sa.Column("dimension", sa.Integer, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("training_id", sa.String(64), nullable=False),
)

fills = sa.Table(
    "fills",
    metadata,
    sa.Column("index_name", sa.String(255), primary_key=True),
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("document_id", sa.Text, primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("stored", sa.Boolean, nullable=False, comment="false: it is on its way"),
)

samples = sa.Table(
    "reindex_samples",
    metadata,
    sa.Column("sample_id", sa.String(64), primary_key=True),
    sa.Column("reindex_id", sa.String(64), nullable=False),
    sa.Column("overlap", sa.Double, nullable=False),
    sa.Column("correlation", sa.Double),
    sa.Column("seconds_in_use", sa.Double, nullable=False),
    sa.Column("seconds_other", sa.Double, nullable=False),
    sa.Column("judged_in_use", sa.Double),
    sa.Column("judged_other", sa.Double),
    sa.Index("reindex_samples_of", "reindex_id"),
)

helpfulness = sa.Table(
    "helpfulness",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("chunk_id", sa.Text, primary_key=True),
    sa.Column("metric", sa.String(64), primary_key=True),
    sa.Column("helpfulness", sa.Double, nullable=False),
    sa.Column("votes", sa.Double, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
)
