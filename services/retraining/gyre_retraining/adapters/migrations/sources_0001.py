"""Tables of the sources that datasets are made of."""

import sqlalchemy as sa
from alembic import op

revision = "sources_0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "source_answers",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("answer_id", sa.String(length=128), nullable=False),
        sa.Column(
            "user_key", sa.String(length=32), nullable=False, comment="empty where there is none"
        ),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("erased", sa.Boolean(), nullable=False),
        sa.Column("known_time", sa.Double(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "answer_id"),
    )
    op.create_index("source_answers_by_time", "source_answers", ["tenant", "known_time"])
    op.create_index("source_answers_by_user", "source_answers", ["tenant", "user_key"])
    op.create_table(
        "source_shown",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("answer_id", sa.String(length=128), nullable=False),
        sa.Column("document_id", sa.String(length=128), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False, comment="the lowest that was shown"),
        sa.PrimaryKeyConstraint("tenant", "answer_id", "document_id"),
    )
    op.create_index("source_shown_by_document", "source_shown", ["tenant", "document_id"])
    op.create_table(
        "source_judgements",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("principal", sa.String(length=256), nullable=False),
        sa.Column("feedback_id", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("answer_id", sa.String(length=128), nullable=False),
        sa.Column("metric", sa.String(length=64), nullable=False),
        sa.Column(
            "rater_key", sa.String(length=32), nullable=False, comment="empty where there is none"
        ),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("known_time", sa.Double(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "principal", "feedback_id", "revision"),
    )
    op.create_index("source_judgements_by_answer", "source_judgements", ["tenant", "answer_id"])
    op.create_index("source_judgements_by_rater", "source_judgements", ["tenant", "rater_key"])
    op.create_index("source_judgements_by_time", "source_judgements", ["tenant", "known_time"])
    op.create_table(
        "source_states",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("principal", sa.String(length=256), nullable=False),
        sa.Column("feedback_id", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("state", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("known_time", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "principal", "feedback_id", "revision", "state"),
    )
    op.create_table(
        "source_reviews",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("item_id", sa.String(length=128), nullable=False),
        sa.Column("reviewer", sa.String(length=256), nullable=False),
        sa.Column(
            "place", sa.BigInteger(), nullable=False, autoincrement=False, comment="time in µs"
        ),
        sa.Column("answer_id", sa.String(length=128), nullable=False),
        sa.Column("known_time", sa.Double(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "item_id", "reviewer", "place"),
    )
    op.create_index("source_reviews_by_answer", "source_reviews", ["tenant", "answer_id"])
    op.create_table(
        "source_chunks",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("chunk_id", sa.String(length=128), nullable=False),
        sa.Column("document_id", sa.String(length=128), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("known_time", sa.Double(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "chunk_id"),
    )
    op.create_index("source_chunks_by_document", "source_chunks", ["tenant", "document_id"])
    op.create_table(
        "source_erasures",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False, comment="of a user a hash"),
        sa.Column("until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "kind", "key"),
    )
