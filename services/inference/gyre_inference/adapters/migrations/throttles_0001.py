"""Callers that are held for a time."""

import sqlalchemy as sa
from alembic import op

revision = "throttles_0001"
down_revision = None


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "throttles",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("alert_id", sa.String(length=64), nullable=False),
        sa.Column("principal", sa.String(length=128), nullable=False),
        sa.Column("end_user", sa.String(length=128), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("lifted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "alert_id"),
    )
    op.create_index("throttles_until", "throttles", ["until"])
