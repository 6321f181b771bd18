"""Tables of sources; times are seconds since 1970 (UTC), the tenant leads every key.

known_time: since when a row was there, so that a snapshot of an earlier moment can be taken.
Rows are added and never changed, but for erasure.
"""

from __future__ import annotations

import sqlalchemy as sa

from gyre_retraining.adapters.tables import metadata


def _known() -> sa.Column[float]:
    return sa.Column("known_time", sa.Double, nullable=False)


def _body() -> sa.Column[str]:
    return sa.Column("body", sa.JSON, nullable=False)


answers = sa.Table(
    "source_answers",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("answer_id", sa.String(128), primary_key=True),
    sa.Column("user_key", sa.String(32), nullable=False, comment="empty where there is none"),
    sa.Column("time", sa.Double, nullable=False),
    sa.Column("erased", sa.Boolean, nullable=False),
    _known(),
    _body(),
    sa.Index("source_answers_by_user", "tenant", "user_key"),
    sa.Index("source_answers_by_time", "tenant", "known_time"),
)

# Which answers were shown which documents.
shown = sa.Table(
    "source_shown",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("answer_id", sa.String(128), primary_key=True),
    sa.Column("document_id", sa.String(128), primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False, comment="the lowest that was shown"),
    sa.Index("source_shown_by_document", "tenant", "document_id"),
)

judgements = sa.Table(
    "source_judgements",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("principal", sa.String(256), primary_key=True),
    sa.Column("feedback_id", sa.String(64), primary_key=True),
    sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("answer_id", sa.String(128), nullable=False),
    sa.Column("metric", sa.String(64), nullable=False),
    sa.Column("rater_key", sa.String(32), nullable=False, comment="empty where there is none"),
    sa.Column("time", sa.Double, nullable=False),
    _known(),
    _body(),
    sa.Index("source_judgements_by_answer", "tenant", "answer_id"),
    sa.Index("source_judgements_by_rater", "tenant", "rater_key"),
    sa.Index("source_judgements_by_time", "tenant", "known_time"),
)

states = sa.Table(
    "source_states",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("principal", sa.String(256), primary_key=True),
    sa.Column("feedback_id", sa.String(64), primary_key=True),
    sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("state", sa.Integer, primary_key=True, autoincrement=False),
    _known(),
)

reviews = sa.Table(
    "source_reviews",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("item_id", sa.String(128), primary_key=True),
    sa.Column("reviewer", sa.String(256), primary_key=True),
    sa.Column("place", sa.BigInteger, primary_key=True, autoincrement=False, comment="time in µs"),
    sa.Column("answer_id", sa.String(128), nullable=False),
    _known(),
    _body(),
    sa.Index("source_reviews_by_answer", "tenant", "answer_id"),
)

chunks = sa.Table(
    "source_chunks",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("chunk_id", sa.String(128), primary_key=True),
    sa.Column("document_id", sa.String(128), nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    _known(),
    _body(),
    sa.Index("source_chunks_by_document", "tenant", "document_id"),
)

# Who and what is erased, so that what arrives late has no content. until: for a user a time, for
# a document the number of a revision.
erasures = sa.Table(
    "source_erasures",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("key", sa.String(128), primary_key=True, comment="of a user a hash"),
    sa.Column("until", sa.Double, nullable=False),
)
