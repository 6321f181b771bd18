"""Tables of the lineage."""

import sqlalchemy as sa
from alembic import op

revision = "lineage_0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "lineage_edges",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("later_kind", sa.String(length=16), nullable=False),
        sa.Column("later_id", sa.String(length=400), nullable=False),
        sa.Column("earlier_kind", sa.String(length=16), nullable=False),
        sa.Column("earlier_id", sa.String(length=400), nullable=False),
        sa.Column("relation", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "later_kind", "later_id", "earlier_kind", "earlier_id"),
    )
    op.create_index(
        "lineage_edges_forward",
        "lineage_edges",
        ["tenant", "earlier_kind", "earlier_id", "later_kind", "later_id"],
        unique=False,
    )
    op.create_table(
        "lineage_forgotten",
        sa.Column(
            "mark",
            sa.String(length=64),
            nullable=False,
            comment="SHA-256 of tenant, kind and id",
        ),
        sa.Column("moment", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("mark"),
    )
    op.create_table(
        "lineage_nodes",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("id", sa.String(length=400), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("time", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "kind", "id"),
    )
