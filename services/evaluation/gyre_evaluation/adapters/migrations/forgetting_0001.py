"""Whose answers are kept, as salted hashes."""

import sqlalchemy as sa
from alembic import op

revision = "forgetting_0001"
down_revision = None


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "answer_people",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("answer_id", sa.String(length=64), nullable=False),
        sa.Column("mark", sa.String(length=64), nullable=False),
        sa.Column("time", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "answer_id"),
    )
    op.create_index("answer_people_mark", "answer_people", ["tenant", "mark"])
    op.create_index("answer_people_time", "answer_people", ["time"])
