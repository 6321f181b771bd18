"""Reindexings that wait for a gate, and those that trained embedders ask for."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

NO, EMPTY = sa.false(), ""


def upgrade() -> None:
    """Makes the columns and the table, where a catalogue made without revisions has none."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("reindexes")}
    for column in (
        sa.Column("gated", sa.Boolean(), nullable=False, server_default=NO),
        sa.Column("model", sa.Text(), nullable=False, server_default=EMPTY),
        sa.Column("creation_key", sa.String(255)),
        sa.Column("gate_id", sa.String(64), nullable=False, server_default=EMPTY),
        sa.Column("verdict", sa.String(16), nullable=False, server_default=EMPTY),
        sa.Column("needs_approval", sa.Boolean(), nullable=False, server_default=NO),
        sa.Column("reasons", sa.Text(), nullable=False, server_default=EMPTY),
        sa.Column("granted", sa.Boolean()),
    ):
        if column.name not in there:
            op.add_column("reindexes", column)
    op.create_index(
        "reindexes_creation", "reindexes", ["creation_key"], unique=True, if_not_exists=True
    )
    op.create_table(
        "reindex_wishes",
        sa.Column("collection", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("embedder", sa.Text(), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("training_id", sa.String(64), nullable=False),
        if_not_exists=True,
    )
