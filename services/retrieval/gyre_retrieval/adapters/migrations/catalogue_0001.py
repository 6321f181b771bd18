"""The catalogue's tables of the first release.

Tables that are there already stay: the first catalogues were made without revisions.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "collections",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("tenant", "name"),
        if_not_exists=True,
    )
    op.create_table(
        "indexes",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("collection", sa.String(length=64), nullable=False),
        sa.Column("embedder", sa.Text(), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("in_use", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        if_not_exists=True,
    )
    op.create_index(
        "indexes_one_in_use",
        "indexes",
        ["collection"],
        unique=True,
        sqlite_where=sa.text("in_use"),
        postgresql_where=sa.text("in_use"),
        if_not_exists=True,
    )
    op.create_table(
        "documents",
        *_document(),
        sa.Column("deleted_revision", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("revision", sa.BigInteger(), comment="in force; null when none is"),
        sa.Column("attempt", sa.Integer()),
        sa.Column("revision_id", sa.Text()),
        sa.Column("chunk_count", sa.Integer()),
        sa.Column("embedder", sa.Text()),
        sa.Column("generation", sa.BigInteger(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("tenant", "collection", "document_id"),
        if_not_exists=True,
    )
    op.create_table(
        "arrivals",
        *_document(),
        *_version(),
        sa.Column("part_index", sa.Integer(), nullable=False),
        sa.Column("part_count", sa.Integer(), nullable=False),
        sa.Column("revision_id", sa.Text(), nullable=False),
        sa.Column("chunk_count", sa.Integer(), nullable=False),
        sa.Column("embedder", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant", "collection", "document_id", "revision", "attempt", "part_index"
        ),
        if_not_exists=True,
    )
    op.create_table(
        "leavings",
        *_document(),
        *_version(),
        sa.Column("since", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "collection", "document_id", "revision", "attempt"),
        if_not_exists=True,
    )


def _document() -> list[sa.Column[str]]:
    return [
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("collection", sa.String(length=64), nullable=False),
        sa.Column("document_id", sa.Text(), nullable=False),
    ]


def _version() -> list[sa.Column[int]]:
    return [
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
    ]
