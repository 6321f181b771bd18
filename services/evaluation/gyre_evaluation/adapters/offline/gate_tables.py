"""Tables of gates, in the service's metadata. Times are seconds since 1970 (UTC)."""

from __future__ import annotations

import sqlalchemy as sa

from gyre_evaluation.adapters.tables import metadata

gate_policies = sa.Table(
    "gate_policies",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("workload", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("yaml", sa.Text, nullable=False),
    sa.Column("author", sa.String(128), nullable=False),
    sa.Column("create_time", sa.Float, nullable=False),
)

gates = sa.Table(
    "gates",
    metadata,
    sa.Column("gate_id", sa.String(64), primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column(
        "creation_key", sa.String(128), comment="made by the client; null where it gave none"
    ),
    sa.Column("workload", sa.String(64), nullable=False),
    sa.Column("policy_version", sa.Integer, nullable=False),
    sa.Column("plan", sa.JSON, nullable=False, comment="all that was asked for"),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("verdict", sa.String(16), nullable=False, comment="empty until it is decided"),
    sa.Column("progress", sa.JSON, nullable=False, comment="its parts and their runs"),
    sa.Column("checks", sa.JSON, nullable=False),
    sa.Column("approvals", sa.JSON, nullable=False),
    sa.Column("create_time", sa.Float, nullable=False),
    sa.Column("end_time", sa.Float),
    sa.Index("gates_creation", "tenant", "creation_key", unique=True),
    sa.Index("gates_open", "state"),
)
