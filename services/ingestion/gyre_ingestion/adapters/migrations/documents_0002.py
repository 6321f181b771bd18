"""A deleted document may stay in search until the copy that takes its place is found there."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds `successor`."""
    successor = sa.Column("successor", sa.String(length=36), nullable=False, server_default="")
    op.add_column("documents", successor)
    op.create_index("documents_by_successor", "documents", ["successor"])
