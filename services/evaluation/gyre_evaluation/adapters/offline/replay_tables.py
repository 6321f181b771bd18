"""Tables of replays, in the service's metadata. Times are seconds since 1970 (UTC)."""

from __future__ import annotations

import sqlalchemy as sa

from gyre_evaluation.adapters.tables import metadata

replays = sa.Table(
    "replays",
    metadata,
    sa.Column("replay_id", sa.String(64), primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column(
        "creation_key", sa.String(128), comment="made by the client; null where it gave none"
    ),
    sa.Column("plan", sa.JSON, nullable=False, comment="all that was asked for"),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("progress", sa.JSON, nullable=False, comment="what was made for it so far"),
    sa.Column("outcome", sa.JSON, nullable=False, comment="empty before its end"),
    sa.Column("create_time", sa.Float, nullable=False),
    sa.Column("end_time", sa.Float),
    sa.Index("replays_creation", "tenant", "creation_key", unique=True),
    sa.Index("replays_open", "state"),
)
