"""Prompts and chains in versions, experiments, runs of chains."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "registry_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "versions",
        *_key(),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=16), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("author", sa.String(length=128), nullable=False),
        sa.Column("register_time", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "kind", "name", "number"),
        sa.UniqueConstraint("tenant", "kind", "name", "digest"),
    )
    op.create_table(
        "labels",
        *_key(),
        sa.Column("label", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "kind", "name", "label"),
    )
    op.create_index("labels_by_revision", "labels", ["revision"])
    _moves()
    _experiments()
    _chain_runs()


def _moves() -> None:
    position = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "moves",
        sa.Column("position", position, autoincrement=True, nullable=False),
        *_key(),
        sa.Column("label", sa.String(length=32), nullable=False),
        sa.Column("from_number", sa.Integer(), nullable=False),
        sa.Column("to_number", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(length=128), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("move_time", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("moves_by_name", "moves", ["tenant", "kind", "name"])


def _experiments() -> None:
    op.create_table(
        "experiments",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("experiment_id", sa.String(length=64), nullable=False),
        sa.Column("workload", sa.String(length=64), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("author", sa.String(length=128), nullable=False),
        sa.Column("start_time", sa.Float(), nullable=False),
        sa.Column("stop_time", sa.Float()),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "experiment_id"),
    )
    runs = sa.text("stop_time IS NULL")
    op.create_index(
        "experiments_one_runs",
        "experiments",
        ["tenant", "workload"],
        unique=True,
        sqlite_where=runs,
        postgresql_where=runs,
    )
    op.create_index("experiments_by_revision", "experiments", ["revision"])


def _chain_runs() -> None:
    op.create_table(
        "chain_runs",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("chain_run_id", sa.String(length=64), nullable=False),
        sa.Column("header", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("ending", sa.JSON()),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("lease_time", sa.Float(), nullable=False),
        sa.Column("update_time", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "chain_run_id"),
    )
    op.create_index("chain_runs_by_update", "chain_runs", ["update_time"])
    op.create_table(
        "chain_steps",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("chain_run_id", sa.String(length=64), nullable=False),
        sa.Column("step_id", sa.String(length=512), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "chain_run_id", "step_id"),
    )


def _key() -> list[sa.Column[str]]:
    return [
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
    ]
