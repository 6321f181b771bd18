"""What was heard of gates, and trained models that wait for their rollout."""

import sqlalchemy as sa
from alembic import op

revision = "rollouts_0002"
down_revision = "rollouts_0001"


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "rollout_gates",
        *_key("tenant", "rollout_id"),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "rollout_id"),
    )
    op.create_table(
        "rollout_wishes",
        *_key("tenant", "name"),
        sa.Column("made", sa.Float(), nullable=False),
        sa.Column("waits", sa.Boolean(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name"),
    )


def _key(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(length=64), nullable=False) for name in names]
