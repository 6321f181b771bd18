"""Tables of feedback; times are seconds since 1970 (UTC), the tenant leads every key."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

MIGRATIONS = Path(__file__).parent / "migrations"

metadata = sa.MetaData()

metrics = sa.Table(
    "metrics",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

# Where judgements and their answer meet: a row for an answer's id and one for its chain run's.
# about is null while the answer has not come.
places = sa.Table(
    "places",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("place", sa.String(128), primary_key=True),
    sa.Column("about", sa.LargeBinary),
    sa.Column("question", sa.Text, nullable=False, server_default=""),
    sa.Column("text", sa.Text, nullable=False, server_default=""),
    sa.Column("come_time", sa.Double),
    sa.Column("touch_time", sa.Double, nullable=False),
    sa.Index("places_by_time", "come_time"),
)

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("principal", sa.String(256), primary_key=True),
    sa.Column("feedback_id", sa.String(64), primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("fingerprint", sa.String(32), nullable=False),
    sa.Column("place", sa.String(128), nullable=False),
    sa.Column("part", sa.String(260), nullable=False, comment="step and chunk"),
    sa.Column("metric", sa.String(64), nullable=False),
    sa.Column("level", sa.String(16), nullable=False),
    sa.Column("goodness", sa.Double),
    sa.Column("account", sa.String(400), nullable=False),
    sa.Column("vouched", sa.Boolean, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(64), nullable=False, server_default=""),
    sa.Column("detail", sa.Text, nullable=False, server_default=""),
    sa.Column("cleared", sa.Boolean, nullable=False, comment="a person released it"),
    sa.Column("receive_time", sa.Double, nullable=False),
    sa.Column("wait_time", sa.Double, nullable=False, comment="since when it waits"),
    sa.Column("letter_id", sa.String(64), nullable=False, server_default=""),
    sa.Column("prompt", sa.Text, nullable=False, server_default=""),
    sa.Column("entities", sa.JSON, nullable=False),
    sa.Column("dirty", sa.Boolean, nullable=False, comment="its effects are not computed"),
    sa.Column("seen", sa.Boolean, nullable=False, comment="its effects were computed once"),
    sa.Column("counted", sa.JSON(none_as_null=True)),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("feedback_by_place", "tenant", "place", "metric"),
    sa.Index("feedback_by_time", "tenant", "receive_time"),
    sa.Index("feedback_by_state", "state", "wait_time"),
    sa.Index(
        "feedback_dirty",
        "receive_time",
        sqlite_where=sa.text("dirty"),
        postgresql_where=sa.text("dirty"),
    ),
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("account", sa.String(400), primary_key=True),
    sa.Column("first_time", sa.Double, nullable=False, comment="0: vouched for"),
    sa.Column("hour", sa.BigInteger, nullable=False),
    sa.Column("judged", sa.Integer, nullable=False),
)


def _entity() -> list[sa.Column[str]]:
    return [
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("entity_id", sa.String(256), primary_key=True),
        sa.Column("metric", sa.String(64), primary_key=True),
    ]


# One account's judgements of one thing that count, added up.
votes = sa.Table(
    "votes",
    metadata,
    *_entity(),
    sa.Column("account", sa.String(400), primary_key=True),
    sa.Column("first_time", sa.Double, nullable=False),
    sa.Column("last_time", sa.Double, nullable=False),
    sa.Column("judgements", sa.BigInteger, nullable=False),
    sa.Column("total", sa.Double, nullable=False),
)

scores = sa.Table(
    "scores",
    metadata,
    *_entity(),
    sa.Column("score", sa.Double, nullable=False),
    sa.Column("mean", sa.Double, nullable=False),
    sa.Column("judgements", sa.BigInteger, nullable=False),
    sa.Column("accounts", sa.BigInteger, nullable=False),
    sa.Column("young_accounts", sa.BigInteger, nullable=False),
    sa.Column("votes", sa.Double, nullable=False),
    sa.Column("update_time", sa.Double, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("said", sa.Double, comment="helpfulness that others know"),
    sa.Index("scores_aging", "young_accounts", "update_time"),
)

# A chunk's document and collection, for what is said of it.
chunks = sa.Table(
    "chunks",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("chunk_id", sa.String(128), primary_key=True),
    sa.Column("document_id", sa.String(128), nullable=False),
    sa.Column("collection", sa.String(64), nullable=False),
)

_position = sa.BigInteger().with_variant(sa.Integer, "sqlite")

feature_rows = sa.Table(
    "feature_rows",
    metadata,
    sa.Column("position", _position, primary_key=True, autoincrement=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("entity_id", sa.String(256), nullable=False),
    sa.Column("metric", sa.String(64), nullable=False),
    sa.Column("event_time", sa.Double, nullable=False),
    sa.Column("features", sa.JSON, nullable=False),
)

review_items = sa.Table(
    "review_items",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("item_id", sa.String(128), primary_key=True),
    sa.Column("answer_id", sa.String(128), nullable=False),
    sa.Column("reasons", sa.JSON, nullable=False),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("about", sa.LargeBinary, nullable=False),
    sa.Column("wanted", sa.Integer, nullable=False),
    sa.Column("review_count", sa.Integer, nullable=False),
    sa.Column("priority", sa.Double, nullable=False),
    sa.Column("add_time", sa.Double, nullable=False),
    sa.Index("review_items_in_order", "tenant", "priority", "add_time"),
)

# A claim is a review without a time of completion.
reviews = sa.Table(
    "reviews",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("item_id", sa.String(128), primary_key=True),
    sa.Column("reviewer", sa.String(128), primary_key=True),
    sa.Column("claim_end_time", sa.Double, nullable=False),
    sa.Column("complete_time", sa.Double),
    sa.Column("declined", sa.Boolean, nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("correction", sa.Text, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
)
