"""What people thought of passages."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "helpfulness",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("chunk_id", sa.Text(), primary_key=True),
        sa.Column("metric", sa.String(64), primary_key=True),
        sa.Column("helpfulness", sa.Double(), nullable=False),
        sa.Column("votes", sa.Double(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        if_not_exists=True,
    )
