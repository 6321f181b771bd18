"""Tables of datasets and runs, in the service's metadata. Times are seconds since 1970 (UTC)."""

from __future__ import annotations

import sqlalchemy as sa

from gyre_evaluation.adapters.tables import metadata

datasets = sa.Table(
    "datasets",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("author", sa.String(128), nullable=False),
    sa.Column(
        "creation_key", sa.String(128), comment="made by the client; null where it gave none"
    ),
    sa.Column("create_time", sa.Float, nullable=False),
    sa.Column("sealed", sa.Boolean, nullable=False),
    sa.Column("splits", sa.JSON, nullable=False),
    sa.Column("content_hash", sa.String(64), nullable=False),
    sa.Column("leaks_mended", sa.Integer, nullable=False),
    sa.Index("datasets_creation", "tenant", "name", "creation_key", unique=True),
)

examples = sa.Table(
    "examples",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("example_id", sa.String(64), primary_key=True),
    sa.Column("split", sa.String(64), nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column(
        "creation_key", sa.String(128), comment="made by the client; null where it gave none"
    ),
    sa.Column("dataset", sa.String(64), nullable=False),
    sa.Column("dataset_version", sa.Integer, nullable=False),
    sa.Column("plan", sa.JSON, nullable=False, comment="all that was asked for"),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("examples", sa.Integer, nullable=False),
    sa.Column("result", sa.JSON, nullable=False, comment="summaries and costs, at the end"),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("lease_until", sa.Float, nullable=False),
    sa.Column("create_time", sa.Float, nullable=False),
    sa.Column("end_time", sa.Float),
    sa.Index("runs_creation", "tenant", "creation_key", unique=True),
    sa.Index("runs_waiting", "state", "lease_until"),
)

items = sa.Table(
    "run_items",
    metadata,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("example_id", sa.String(64), primary_key=True),
    sa.Column("produced", sa.JSON, nullable=False),
    sa.Column("scores", sa.JSON, nullable=False),
    sa.Column("failed", sa.Boolean, nullable=False),
    sa.Column("cached", sa.Boolean, nullable=False),
)

answer_cache = sa.Table(
    "answer_cache",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("produced", sa.JSON, nullable=False),
    sa.Column("time", sa.Float, nullable=False),
)

recorded_answers = sa.Table(
    "recorded_answers",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("answer_id", sa.String(64), primary_key=True),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("collection", sa.String(64), nullable=False),
    sa.Column("prompt_name", sa.String(128), nullable=False),
    sa.Column("prompt_version", sa.String(128), nullable=False),
    sa.Column("model", sa.String(128), nullable=False),
    sa.Column("language", sa.String(16), nullable=False),
    sa.Column("refused", sa.Boolean, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Index("recorded_answers_time", "tenant", "time"),
)
