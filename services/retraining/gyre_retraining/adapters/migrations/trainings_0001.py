"""Tables of trainings and of the decisions about them."""

import sqlalchemy as sa
from alembic import op

revision = "trainings_0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "trainings",
        sa.Column("training_id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("recipe", sa.String(length=64), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False, comment="the recipe as it is run"),
        sa.Column("trigger", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("dataset_id", sa.String(length=64), nullable=False),
        sa.Column("base_model", sa.String(length=160), nullable=False),
        sa.Column("model", sa.String(length=160), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, comment="starts of its job"),
        sa.Column("peak_memory_bytes", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False, comment="of its job, over all starts"),
        sa.Column("tracking_run_id", sa.String(length=64), nullable=False),
        sa.Column("request_time", sa.Float(), nullable=False),
        sa.Column("start_time", sa.Float(), nullable=True),
        sa.Column("end_time", sa.Float(), nullable=True),
        sa.Column("cancelling", sa.Boolean(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("training_id"),
    )
    op.create_index("trainings_waiting", "trainings", ["state", "lease_until"], unique=False)
    op.create_index(
        "trainings_tenant", "trainings", ["tenant", "recipe", "request_time"], unique=False
    )
    op.create_table(
        "training_decisions",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("recipe", sa.String(length=64), nullable=False),
        sa.Column("cause", sa.String(length=256), nullable=False, comment="one training for each"),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column(
            "decided_for", sa.String(length=128), nullable=False, comment="the principal or policy"
        ),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column(
            "training_id", sa.String(length=64), nullable=False, comment="empty where refused"
        ),
        sa.Column("watermark", sa.BigInteger(), nullable=False, comment="judgements heard by then"),
        sa.Column("time", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "recipe", "cause"),
    )
    op.create_index(
        "training_decisions_time", "training_decisions", ["tenant", "time"], unique=False
    )
