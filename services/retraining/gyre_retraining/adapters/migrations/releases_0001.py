"""Releases of models that were heard of."""

import sqlalchemy as sa
from alembic import op

revision = "releases_0001"
down_revision = None


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "model_releases",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column(
            "cause", sa.String(length=128), nullable=False, comment="a rollout or a reindexing"
        ),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("moment", sa.Double(), nullable=False),
        sa.Column("in_use", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name", "cause"),
    )
