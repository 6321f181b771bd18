"""One `MetaData` for all tables of the service; here those of trainings. Times are seconds since
1970 (UTC)."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

MIGRATIONS = Path(__file__).parent / "migrations"

metadata = sa.MetaData()

trainings = sa.Table(
    "trainings",
    metadata,
    sa.Column("training_id", sa.String(64), primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("recipe", sa.String(64), nullable=False),
    sa.Column("plan", sa.JSON, nullable=False, comment="the recipe as it is run"),
    sa.Column("trigger", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("dataset_id", sa.String(64), nullable=False),
    sa.Column("base_model", sa.String(160), nullable=False),
    sa.Column("model", sa.String(160), nullable=False),
    sa.Column("progress", sa.JSON, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, comment="starts of its job"),
    sa.Column("peak_memory_bytes", sa.BigInteger, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False, comment="of its job, over all starts"),
    sa.Column("tracking_run_id", sa.String(64), nullable=False),
    sa.Column("request_time", sa.Float, nullable=False),
    sa.Column("start_time", sa.Float),
    sa.Column("end_time", sa.Float),
    sa.Column("cancelling", sa.Boolean, nullable=False),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("lease_until", sa.Float, nullable=False),
    sa.Index("trainings_waiting", "state", "lease_until"),
    sa.Index("trainings_tenant", "tenant", "recipe", "request_time"),
)

decisions = sa.Table(
    "training_decisions",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("recipe", sa.String(64), primary_key=True),
    sa.Column("cause", sa.String(256), primary_key=True, comment="one training for each"),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("decided_for", sa.String(128), nullable=False, comment="the principal or policy"),
    sa.Column("accepted", sa.Boolean, nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("training_id", sa.String(64), nullable=False, comment="empty where refused"),
    sa.Column("watermark", sa.BigInteger, nullable=False, comment="judgements heard by then"),
    sa.Column("time", sa.Float, nullable=False),
    sa.Index("training_decisions_time", "tenant", "time"),
)
