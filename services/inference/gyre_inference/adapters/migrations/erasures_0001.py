"""Erasures that were asked for."""

import sqlalchemy as sa
from alembic import op

revision = "erasures_0001"
down_revision = None


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "erasures",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("erasure_id", sa.String(length=64), nullable=False),
        sa.Column("creation_key", sa.String(length=128), nullable=True),
        sa.Column("mark", sa.String(length=64), nullable=False),
        sa.Column("principal", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("request_time", sa.Double(), nullable=False),
        sa.Column("forgotten", sa.JSON(), nullable=False),
        sa.Column("complete_time", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "erasure_id"),
    )
    op.create_index("erasures_creation", "erasures", ["tenant", "creation_key"], unique=True)
