"""Tables of ingestion; times are seconds since 1970 (UTC), the tenant leads every key."""

from pathlib import Path

import sqlalchemy as sa

MIGRATIONS = Path(__file__).parent / "migrations"

metadata = sa.MetaData()

collections = sa.Table(
    "collections",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("collection", sa.String(64), primary_key=True),
    sa.Column("policy", sa.String(32)),
    sa.Column("changes", sa.BigInteger, nullable=False),
)

documents = sa.Table(
    "documents",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("document_id", sa.String(36), primary_key=True),
    sa.Column("collection", sa.String(64), nullable=False),
    sa.Column("change", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("source_uri", sa.Text, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("revision_id", sa.String(36), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("content_uri", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("policy", sa.String(32), nullable=False),
    sa.Column("receive_time", sa.Double, nullable=False),
    sa.Column("update_time", sa.Double, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("media_type", sa.Text, nullable=False),
    sa.Column("language", sa.String(16), nullable=False),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("part_count", sa.Integer, nullable=False),
    sa.Column("chunk_count", sa.Integer, nullable=False),
    sa.Column("personal_data_count", sa.Integer, nullable=False),
    sa.Column("embedded_parts", sa.JSON, nullable=False),
    sa.Column("rejection_reason", sa.String(32)),
    sa.Column("rejection_detail", sa.Text, nullable=False),
    sa.Column("duplicate_of", sa.String(36), nullable=False),
    sa.Column("indexed_revision", sa.BigInteger, nullable=False),
    sa.Column("indexed_attempt", sa.Integer, nullable=False),
    sa.Column("unindexed_revision", sa.BigInteger, nullable=False),
    sa.Column("cut_revision", sa.BigInteger, nullable=False),
    sa.Column("cut_attempt", sa.Integer, nullable=False),
    sa.Column("held_sha256", sa.String(64)),
    sa.Column("held_text_hash", sa.String(64)),
    sa.Column("deleted", sa.Boolean, nullable=False),
    sa.Column("successor", sa.String(36), nullable=False, server_default=""),
    sa.Index("documents_by_change", "tenant", "collection", "change", "document_id"),
    sa.Index("documents_by_id", "tenant", "collection", "document_id"),
    sa.Index("documents_by_text", "tenant", "collection", "held_text_hash"),
    sa.Index("documents_by_bytes", "tenant", "collection", "held_sha256"),
    sa.Index("documents_by_content", "tenant", "sha256"),
    sa.Index("documents_by_original", "tenant", "duplicate_of", "document_id"),
    sa.Index("documents_by_successor", "successor"),
)

fingerprints = sa.Table(
    "fingerprints",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("document_id", sa.String(36), primary_key=True),
    sa.Column("signature", sa.LargeBinary, nullable=False),
)

fingerprint_keys = sa.Table(
    "fingerprint_keys",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("collection", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(128), primary_key=True),
    sa.Column("document_id", sa.String(36), primary_key=True),
    sa.Index("fingerprint_keys_by_document", "tenant", "document_id"),
)

near_duplicates = sa.Table(
    "near_duplicates",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("document_id", sa.String(36), primary_key=True),
    sa.Column("other_id", sa.String(36), primary_key=True),
)
