"""Indexes for other embedders: reindexings, what they hold, and what live searches say of them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "holds",
        sa.Column("collection", sa.String(64), primary_key=True),
        sa.Column("until", sa.Double(), nullable=False, comment="nothing comes into force before"),
        if_not_exists=True,
    )
    _reindexes()
    op.create_table(
        "fills",
        sa.Column("index_name", sa.String(255), primary_key=True),
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("document_id", sa.Text(), primary_key=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("stored", sa.Boolean(), nullable=False, comment="false: it is on its way"),
        if_not_exists=True,
    )
    op.create_table(
        "reindex_samples",
        sa.Column("sample_id", sa.String(64), primary_key=True),
        sa.Column("reindex_id", sa.String(64), nullable=False),
        sa.Column("overlap", sa.Double(), nullable=False),
        sa.Column("correlation", sa.Double()),
        sa.Column("seconds_in_use", sa.Double(), nullable=False),
        sa.Column("seconds_other", sa.Double(), nullable=False),
        sa.Column("judged_in_use", sa.Double()),
        sa.Column("judged_other", sa.Double()),
        if_not_exists=True,
    )
    op.create_index("reindex_samples_of", "reindex_samples", ["reindex_id"], if_not_exists=True)


def _reindexes() -> None:
    op.create_table(
        "reindexes",
        sa.Column("reindex_id", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("collection", sa.String(64), nullable=False),
        sa.Column("index_name", sa.String(255), nullable=False),
        sa.Column("embedder", sa.Text(), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("previous_name", sa.String(255), nullable=False),
        sa.Column("previous_embedder", sa.Text(), nullable=False),
        sa.Column("previous_dimension", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False, server_default=""),
        sa.Column("start_time", sa.Double(), nullable=False),
        sa.Column("build_time", sa.Double()),
        sa.Column("switch_time", sa.Double()),
        sa.Column("keep_until", sa.Double()),
        sa.Column("end_time", sa.Double()),
        sa.Column("owner", sa.String(64), nullable=False, server_default=""),
        sa.Column("lease_until", sa.Double(), nullable=False, server_default="0"),
        sa.Column("judged", sa.JSON()),
        if_not_exists=True,
    )
