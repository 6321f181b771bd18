"""What was judged of experiments whose shares move, and their shares over time."""

import sqlalchemy as sa
from alembic import op

revision = "experiments_0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "experiment_observations",
        *_key("tenant", "experiment_id", "variant"),
        sa.Column("unit", sa.String(length=192), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("observe_time", sa.Float(), nullable=False),
        sa.Column("source", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "experiment_id", "variant", "unit"),
    )
    op.create_table(
        "experiment_weighings",
        *_key("tenant", "experiment_id"),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "experiment_id", "number"),
    )


def _key(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(length=64), nullable=False) for name in names]
