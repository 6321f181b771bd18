"""Which judgement an observation is of, and which judgements are doubted."""

import sqlalchemy as sa
from alembic import op

revision = "rollouts_0003"
down_revision = "rollouts_0002"


def upgrade() -> None:
    """Adds a column and a table."""
    source = sa.Column("source", sa.String(length=128), nullable=False, server_default="")
    op.add_column("rollout_observations", source)
    op.create_table(
        "rollout_doubts",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("feedback_id", sa.String(length=128), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("counts", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "feedback_id"),
    )
