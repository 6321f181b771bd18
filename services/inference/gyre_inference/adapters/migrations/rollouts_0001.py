"""Rollouts, champions, and what was observed of candidates."""

import sqlalchemy as sa
from alembic import op

revision = "rollouts_0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "rollouts",
        *_key("tenant", "rollout_id"),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("is_over", sa.Boolean(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("lease_time", sa.Float(), nullable=False),
        sa.Column("start_time", sa.Float(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "rollout_id"),
    )
    op.create_index(
        "rollouts_one_runs",
        "rollouts",
        ["tenant", "kind", "name"],
        unique=True,
        sqlite_where=sa.text("is_over = 0"),
        postgresql_where=sa.text("NOT is_over"),
    )
    op.create_index("rollouts_by_revision", "rollouts", ["revision"])
    op.create_table(
        "champions",
        *_key("tenant", "name"),
        sa.Column("release", sa.String(length=128), nullable=False),
        sa.Column("rollout_id", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name"),
    )
    op.create_index("champions_by_revision", "champions", ["revision"])
    _observed()


def _observed() -> None:
    op.create_table(
        "rollout_observations",
        *_key("tenant", "rollout_id"),
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("metric", sa.String(length=96), nullable=False),
        sa.Column("unit", sa.String(length=192), nullable=False),
        sa.Column("arm", sa.String(length=16), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("observe_time", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "rollout_id", "step", "metric", "unit"),
    )
    op.create_table(
        "rollout_pairs",
        *_key("tenant", "rollout_id", "answer_id"),
        sa.Column("outcome", sa.Integer(), nullable=False),
        sa.Column("scores", sa.JSON(), nullable=False),
        sa.Column("pair_time", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "rollout_id", "answer_id"),
    )


def _key(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(length=64), nullable=False) for name in names]
