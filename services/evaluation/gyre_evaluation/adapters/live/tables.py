"""Tables of live answers, in the service's metadata. Times are seconds since 1970 (UTC)."""

from __future__ import annotations

import sqlalchemy as sa

from gyre_evaluation.adapters.tables import metadata


def _tenant() -> sa.Column[str]:
    return sa.Column("tenant", sa.String(64), primary_key=True)


pending = sa.Table(
    "live_pending",
    metadata,
    _tenant(),
    sa.Column("answer_id", sa.String(64), primary_key=True),
    sa.Column("stage", sa.String(16), nullable=False, comment="rules, then judges"),
    sa.Column("record", sa.LargeBinary, nullable=False, comment="AnswerRecord; gone when scored"),
    sa.Column("status", sa.String(32), nullable=False, comment="empty, or why the answer failed"),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_time", sa.Float, nullable=False),
    sa.Index("live_pending_due", "due_time"),
)

scores = sa.Table(
    "live_scores",
    metadata,
    _tenant(),
    sa.Column("source_id", sa.String(256), primary_key=True, comment="answer, or a judgement"),
    sa.Column("metric", sa.String(128), primary_key=True),
    sa.Column("answer_id", sa.String(64), nullable=False),
    sa.Column("score", sa.Float),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("counts", sa.Boolean, nullable=False),
    sa.Column("time", sa.Float, nullable=False, comment="when the answer was asked for"),
    sa.Column("traits", sa.JSON, nullable=False),
    sa.Index("live_scores_time", "time"),
)

windows = sa.Table(
    "live_windows",
    metadata,
    _tenant(),
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("value", sa.String(256), primary_key=True),
    sa.Column("metric", sa.String(128), primary_key=True),
    sa.Column("answers", sa.BigInteger, nullable=False),
    sa.Column("total", sa.Float, nullable=False),
    sa.Column("squares", sa.Float, nullable=False),
)

traffic = sa.Table(
    "live_traffic",
    metadata,
    _tenant(),
    sa.Column("scope", sa.String(128), primary_key=True),
    sa.Column("generation", sa.Integer, nullable=False, comment="counts the references"),
    sa.Column("seen", sa.BigInteger, nullable=False, comment="of this generation"),
    sa.Column("checked", sa.BigInteger, nullable=False, comment="windows of this generation"),
)

observations = sa.Table(
    "live_observations",
    metadata,
    _tenant(),
    sa.Column("scope", sa.String(128), primary_key=True),
    sa.Column("source_id", sa.String(256), primary_key=True),
    sa.Column("answer_id", sa.String(64), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),
    sa.Column("numbers", sa.JSON, nullable=False),
    sa.Column("words", sa.JSON, nullable=False),
    sa.Index("live_observations_number", "tenant", "scope", "generation", "number", unique=True),
)

checks = sa.Table(
    "live_checks",
    metadata,
    _tenant(),
    sa.Column("scope", sa.String(128), primary_key=True),
    sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("window", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("start_time", sa.Float, nullable=False),
    sa.Column("end_time", sa.Float, nullable=False),
    sa.Column("drifted", sa.Boolean, nullable=False),
    sa.Column("findings", sa.JSON, nullable=False),
)

disparity_checks = sa.Table(
    "live_disparity_checks",
    metadata,
    _tenant(),
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
)

activity = sa.Table(
    "live_activity",
    metadata,
    _tenant(),
    sa.Column("principal", sa.String(128), primary_key=True),
    sa.Column("end_user", sa.String(128), primary_key=True, comment="empty: all of the principal"),
    sa.Column("minute", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.BigInteger, nullable=False),
    sa.Column("answer_ids", sa.JSON, nullable=False, comment="of attempts, at most 20"),
)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("alert_id", sa.String(64), primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("raise_time", sa.Float, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("repeats", sa.Integer, nullable=False),
    sa.Column("acknowledged_by", sa.String(128), nullable=False),
    sa.Column("acknowledge_time", sa.Float),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Index("alerts_newest", "tenant", "raise_time", "alert_id"),
)

causes = sa.Table(
    "alert_causes",
    metadata,
    _tenant(),
    sa.Column("cause", sa.String(256), primary_key=True),
    sa.Column("last_time", sa.Float, nullable=False),
    sa.Column("alert_id", sa.String(64), nullable=False),
)

judged = sa.Table(
    "live_judged",
    metadata,
    _tenant(),
    sa.Column("day", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("spent", sa.BigInteger, nullable=False),
)
