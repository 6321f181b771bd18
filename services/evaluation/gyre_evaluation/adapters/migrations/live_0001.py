"""Tables of live answers: what waits to be scored, scores, windows, traffic, alerts."""

import sqlalchemy as sa
from alembic import op

revision = "live_0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "alert_causes",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("cause", sa.String(length=256), nullable=False),
        sa.Column("last_time", sa.Float(), nullable=False),
        sa.Column("alert_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "cause"),
    )
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("raise_time", sa.Float(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("repeats", sa.Integer(), nullable=False),
        sa.Column("acknowledged_by", sa.String(length=128), nullable=False),
        sa.Column("acknowledge_time", sa.Float(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("alert_id"),
    )
    op.create_index("alerts_newest", "alerts", ["tenant", "raise_time", "alert_id"], unique=False)
    op.create_table(
        "live_activity",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("principal", sa.String(length=128), nullable=False),
        sa.Column(
            "end_user", sa.String(length=128), nullable=False, comment="empty: all of the principal"
        ),
        sa.Column("minute", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("answer_ids", sa.JSON(), nullable=False, comment="of attempts, at most 20"),
        sa.PrimaryKeyConstraint("tenant", "principal", "end_user", "minute"),
    )
    op.create_table(
        "live_checks",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=128), nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("window", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("start_time", sa.Float(), nullable=False),
        sa.Column("end_time", sa.Float(), nullable=False),
        sa.Column("drifted", sa.Boolean(), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "scope", "generation", "window"),
    )
    op.create_table(
        "live_disparity_checks",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "start"),
    )
    op.create_table(
        "live_judged",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("day", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "day"),
    )
    op.create_table(
        "live_observations",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=128), nullable=False),
        sa.Column("source_id", sa.String(length=256), nullable=False),
        sa.Column("answer_id", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.Float(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("numbers", sa.JSON(), nullable=False),
        sa.Column("words", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "scope", "source_id"),
    )
    op.create_index(
        "live_observations_number",
        "live_observations",
        ["tenant", "scope", "generation", "number"],
        unique=True,
    )
    op.create_table(
        "live_pending",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("answer_id", sa.String(length=64), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False, comment="rules, then judges"),
        sa.Column(
            "record", sa.LargeBinary(), nullable=False, comment="AnswerRecord; gone when scored"
        ),
        sa.Column(
            "status",
            sa.String(length=32),
            nullable=False,
            comment="empty, or why the answer failed",
        ),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_time", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "answer_id"),
    )
    op.create_index("live_pending_due", "live_pending", ["due_time"], unique=False)
    op.create_table(
        "live_scores",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column(
            "source_id", sa.String(length=256), nullable=False, comment="answer, or a judgement"
        ),
        sa.Column("metric", sa.String(length=128), nullable=False),
        sa.Column("answer_id", sa.String(length=64), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.Boolean(), nullable=False),
        sa.Column("time", sa.Float(), nullable=False, comment="when the answer was asked for"),
        sa.Column("traits", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "source_id", "metric"),
    )
    op.create_index("live_scores_time", "live_scores", ["time"], unique=False)
    op.create_table(
        "live_traffic",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=128), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False, comment="counts the references"),
        sa.Column("seen", sa.BigInteger(), nullable=False, comment="of this generation"),
        sa.Column("checked", sa.BigInteger(), nullable=False, comment="windows of this generation"),
        sa.PrimaryKeyConstraint("tenant", "scope"),
    )
    op.create_table(
        "live_windows",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.Column("metric", sa.String(length=128), nullable=False),
        sa.Column("answers", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Float(), nullable=False),
        sa.Column("squares", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "start", "kind", "value", "metric"),
    )
