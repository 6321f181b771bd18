"""Tables of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
_POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Makes the tables."""
    _judgements()
    _effects()
    _reviews()


def _judgements() -> None:
    op.create_table(
        "metrics",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "places",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("place", sa.String(128), primary_key=True),
        sa.Column("about", sa.LargeBinary()),
        sa.Column("question", sa.Text(), nullable=False, server_default=""),
        sa.Column("text", sa.Text(), nullable=False, server_default=""),
        sa.Column("come_time", sa.Double()),
        sa.Column("touch_time", sa.Double(), nullable=False),
    )
    op.create_index("places_by_time", "places", ["come_time"])
    op.create_table(
        "feedback",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("principal", sa.String(256), primary_key=True),
        sa.Column("feedback_id", sa.String(64), primary_key=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", sa.String(32), nullable=False),
        sa.Column("place", sa.String(128), nullable=False),
        sa.Column("part", sa.String(260), nullable=False),
        sa.Column("metric", sa.String(64), nullable=False),
        sa.Column("level", sa.String(16), nullable=False),
        sa.Column("goodness", sa.Double()),
        sa.Column("account", sa.String(400), nullable=False),
        sa.Column("vouched", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False, server_default=""),
        sa.Column("detail", sa.Text(), nullable=False, server_default=""),
        sa.Column("cleared", sa.Boolean(), nullable=False),
        sa.Column("receive_time", sa.Double(), nullable=False),
        sa.Column("wait_time", sa.Double(), nullable=False),
        sa.Column("letter_id", sa.String(64), nullable=False, server_default=""),
        sa.Column("prompt", sa.Text(), nullable=False, server_default=""),
        sa.Column("entities", sa.JSON(), nullable=False),
        sa.Column("dirty", sa.Boolean(), nullable=False),
        sa.Column("seen", sa.Boolean(), nullable=False),
        sa.Column("counted", sa.JSON(none_as_null=True)),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.create_index("feedback_by_place", "feedback", ["tenant", "place", "metric"])
    op.create_index("feedback_by_state", "feedback", ["state", "wait_time"])
    op.create_index("feedback_by_time", "feedback", ["tenant", "receive_time"])
    op.create_index(
        "feedback_dirty",
        "feedback",
        ["receive_time"],
        sqlite_where=sa.text("dirty"),
        postgresql_where=sa.text("dirty"),
    )


def _effects() -> None:
    op.create_table(
        "accounts",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("account", sa.String(400), primary_key=True),
        sa.Column("first_time", sa.Double(), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("judged", sa.Integer(), nullable=False),
    )
    op.create_table(
        "votes",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("entity_id", sa.String(256), primary_key=True),
        sa.Column("metric", sa.String(64), primary_key=True),
        sa.Column("account", sa.String(400), primary_key=True),
        sa.Column("first_time", sa.Double(), nullable=False),
        sa.Column("last_time", sa.Double(), nullable=False),
        sa.Column("judgements", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Double(), nullable=False),
    )
    op.create_table(
        "scores",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("entity_id", sa.String(256), primary_key=True),
        sa.Column("metric", sa.String(64), primary_key=True),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("mean", sa.Double(), nullable=False),
        sa.Column("judgements", sa.BigInteger(), nullable=False),
        sa.Column("accounts", sa.BigInteger(), nullable=False),
        sa.Column("young_accounts", sa.BigInteger(), nullable=False),
        sa.Column("votes", sa.Double(), nullable=False),
        sa.Column("update_time", sa.Double(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("said", sa.Double()),
    )
    op.create_index("scores_aging", "scores", ["young_accounts", "update_time"])
    op.create_table(
        "chunks",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("chunk_id", sa.String(128), primary_key=True),
        sa.Column("document_id", sa.String(128), nullable=False),
        sa.Column("collection", sa.String(64), nullable=False),
    )
    op.create_table(
        "feature_rows",
        sa.Column("position", _POSITION, primary_key=True, autoincrement=True),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("entity_id", sa.String(256), nullable=False),
        sa.Column("metric", sa.String(64), nullable=False),
        sa.Column("event_time", sa.Double(), nullable=False),
        sa.Column("features", sa.JSON(), nullable=False),
    )


def _reviews() -> None:
    op.create_table(
        "review_items",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("item_id", sa.String(128), primary_key=True),
        sa.Column("answer_id", sa.String(128), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("about", sa.LargeBinary(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("review_count", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Double(), nullable=False),
        sa.Column("add_time", sa.Double(), nullable=False),
    )
    op.create_index("review_items_in_order", "review_items", ["tenant", "priority", "add_time"])
    op.create_table(
        "reviews",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("item_id", sa.String(128), primary_key=True),
        sa.Column("reviewer", sa.String(128), primary_key=True),
        sa.Column("claim_end_time", sa.Double(), nullable=False),
        sa.Column("complete_time", sa.Double()),
        sa.Column("declined", sa.Boolean(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("correction", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
    )
