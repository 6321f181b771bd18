"""Tables of replays and gates."""

import sqlalchemy as sa
from alembic import op

revision = "offline_0002"
down_revision = "offline_0001"


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "replays",
        sa.Column("replay_id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column(
            "creation_key",
            sa.String(length=128),
            nullable=True,
            comment="made by the client; null where it gave none",
        ),
        sa.Column("plan", sa.JSON(), nullable=False, comment="all that was asked for"),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False, comment="what was made for it so far"),
        sa.Column("outcome", sa.JSON(), nullable=False, comment="empty before its end"),
        sa.Column("create_time", sa.Float(), nullable=False),
        sa.Column("end_time", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("replay_id"),
    )
    op.create_index("replays_creation", "replays", ["tenant", "creation_key"], unique=True)
    op.create_index("replays_open", "replays", ["state"], unique=False)
    op.create_table(
        "gate_policies",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("workload", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("yaml", sa.Text(), nullable=False),
        sa.Column("author", sa.String(length=128), nullable=False),
        sa.Column("create_time", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "workload", "version"),
    )
    op.create_table(
        "gates",
        sa.Column("gate_id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column(
            "creation_key",
            sa.String(length=128),
            nullable=True,
            comment="made by the client; null where it gave none",
        ),
        sa.Column("workload", sa.String(length=64), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False, comment="all that was asked for"),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column(
            "verdict", sa.String(length=16), nullable=False, comment="empty until it is decided"
        ),
        sa.Column("progress", sa.JSON(), nullable=False, comment="its parts and their runs"),
        sa.Column("checks", sa.JSON(), nullable=False),
        sa.Column("approvals", sa.JSON(), nullable=False),
        sa.Column("create_time", sa.Float(), nullable=False),
        sa.Column("end_time", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("gate_id"),
    )
    op.create_index("gates_creation", "gates", ["tenant", "creation_key"], unique=True)
    op.create_index("gates_open", "gates", ["state"], unique=False)
