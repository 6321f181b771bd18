"""Documents, collections, fingerprints: the tables of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables."""
    _collections()
    _documents()
    _indices_of_documents()
    _fingerprints()
    _near_duplicates()


def _collections() -> None:
    op.create_table(
        "collections",
        _string("tenant", 64),
        _string("collection", 64),
        _string("policy", 32, nullable=True),
        _big("changes"),
        sa.PrimaryKeyConstraint("tenant", "collection"),
    )


def _documents() -> None:
    op.create_table(
        "documents",
        *(_string("tenant", 64), _string("document_id", 36), _string("collection", 64)),
        *(_big("change"), _string("state", 16), _text("source_uri")),
        *(_big("revision"), _string("revision_id", 36), _number("attempt")),
        *(_text("content_uri"), _string("sha256", 64), _big("size_bytes")),
        *(_string("policy", 32), _time("receive_time"), _time("update_time")),
        *(_text("title"), _text("media_type"), _string("language", 16), _json("metadata")),
        *(_number("part_count"), _number("chunk_count"), _number("personal_data_count")),
        _json("embedded_parts"),
        *(_string("rejection_reason", 32, nullable=True), _text("rejection_detail")),
        _string("duplicate_of", 36),
        *(_big("indexed_revision"), _number("indexed_attempt"), _big("unindexed_revision")),
        *(_big("cut_revision"), _number("cut_attempt")),
        *(_string("held_sha256", 64, nullable=True), _string("held_text_hash", 64, nullable=True)),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "document_id"),
    )


def _indices_of_documents() -> None:
    for name, *columns in (
        ("documents_by_bytes", "tenant", "collection", "held_sha256"),
        ("documents_by_change", "tenant", "collection", "change", "document_id"),
        ("documents_by_content", "tenant", "sha256"),
        ("documents_by_id", "tenant", "collection", "document_id"),
        ("documents_by_original", "tenant", "duplicate_of", "document_id"),
        ("documents_by_text", "tenant", "collection", "held_text_hash"),
    ):
        op.create_index(name, "documents", columns)


def _fingerprints() -> None:
    op.create_table(
        "fingerprint_keys",
        *(_string("tenant", 64), _string("collection", 64)),
        *(_string("key", 128), _string("document_id", 36)),
        sa.PrimaryKeyConstraint("tenant", "collection", "key", "document_id"),
    )
    op.create_index("fingerprint_keys_by_document", "fingerprint_keys", ["tenant", "document_id"])
    op.create_table(
        "fingerprints",
        *(_string("tenant", 64), _string("document_id", 36)),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "document_id"),
    )


def _near_duplicates() -> None:
    op.create_table(
        "near_duplicates",
        *(_string("tenant", 64), _string("document_id", 36), _string("other_id", 36)),
        sa.PrimaryKeyConstraint("tenant", "document_id", "other_id"),
    )


def _string(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=nullable)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON(), nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _big(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _time(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double(), nullable=False)
