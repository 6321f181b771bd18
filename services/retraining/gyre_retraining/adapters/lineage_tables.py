"""Tables of the lineage. Times are seconds since 1970 (UTC)."""

from __future__ import annotations

import sqlalchemy as sa

from gyre_retraining.adapters.tables import metadata

edges = sa.Table(
    "lineage_edges",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("later_kind", sa.String(16), primary_key=True),
    sa.Column("later_id", sa.String(400), primary_key=True),
    sa.Column("earlier_kind", sa.String(16), primary_key=True),
    sa.Column("earlier_id", sa.String(400), primary_key=True),
    sa.Column("relation", sa.String(32), nullable=False),
    sa.Index(
        "lineage_edges_forward", "tenant", "earlier_kind", "earlier_id", "later_kind", "later_id"
    ),
)

forgotten = sa.Table(
    "lineage_forgotten",
    metadata,
    sa.Column("mark", sa.String(64), primary_key=True, comment="SHA-256 of tenant, kind and id"),
    sa.Column("moment", sa.Float, nullable=False),
)

nodes = sa.Table(
    "lineage_nodes",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("id", sa.String(400), primary_key=True),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("time", sa.Float),
)
