"""Tables of the registry, of experiments, rollouts, chain runs and of callers that are held.

The platform's tenant is ''.

A row that processes hold in memory carries the `revision` of its last change; `registry_state` has
the newest one. A run's, or a rollout's, `holder` has it until `lease_time`; '' is nobody.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

MIGRATIONS = Path(__file__).parent / "migrations"


def _key() -> list[sa.Column[str]]:
    return [
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
    ]


metadata = sa.MetaData()

registry_state = sa.Table(
    "registry_state",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
)

versions = sa.Table(
    "versions",
    metadata,
    *_key(),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("digest", sa.String(16), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("author", sa.String(128), nullable=False),
    sa.Column("register_time", sa.Float, nullable=False),
    sa.UniqueConstraint("tenant", "kind", "name", "digest"),
)

labels = sa.Table(
    "labels",
    metadata,
    *_key(),
    sa.Column("label", sa.String(32), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Index("labels_by_revision", "revision"),
)

moves = sa.Table(
    "moves",
    metadata,
    sa.Column(
        "position",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("label", sa.String(32), nullable=False),
    sa.Column("from_number", sa.Integer, nullable=False),
    sa.Column("to_number", sa.Integer, nullable=False),
    sa.Column("author", sa.String(128), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("move_time", sa.Float, nullable=False),
    sa.Index("moves_by_name", "tenant", "kind", "name"),
)

experiments = sa.Table(
    "experiments",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("experiment_id", sa.String(64), primary_key=True),
    sa.Column("workload", sa.String(64), nullable=False),
    sa.Column("content", sa.JSON, nullable=False),
    sa.Column("author", sa.String(128), nullable=False),
    sa.Column("start_time", sa.Float, nullable=False),
    sa.Column("stop_time", sa.Float),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Index(
        "experiments_one_runs",
        "tenant",
        "workload",
        unique=True,
        sqlite_where=sa.text("stop_time IS NULL"),
        postgresql_where=sa.text("stop_time IS NULL"),
    ),
    sa.Index("experiments_by_revision", "revision"),
)

experiment_observations = sa.Table(
    "experiment_observations",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("experiment_id", sa.String(64), primary_key=True),
    sa.Column("variant", sa.String(64), primary_key=True),
    sa.Column("unit", sa.String(192), primary_key=True),
    sa.Column("value", sa.Float, nullable=False),
    sa.Column("observe_time", sa.Float, nullable=False),
    sa.Column("source", sa.String(128), nullable=False),
)

experiment_weighings = sa.Table(
    "experiment_weighings",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("experiment_id", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("content", sa.JSON, nullable=False),
)

throttles = sa.Table(
    "throttles",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("alert_id", sa.String(64), primary_key=True),
    sa.Column("principal", sa.String(128), nullable=False),
    sa.Column("end_user", sa.String(128), nullable=False),
    sa.Column("until", sa.Float, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("lifted", sa.Boolean, nullable=False),
    sa.Index("throttles_until", "until"),
)

chain_runs = sa.Table(
    "chain_runs",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("chain_run_id", sa.String(64), primary_key=True),
    sa.Column("header", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("ending", sa.JSON),
    sa.Column("holder", sa.String(64), nullable=False),
    sa.Column("lease_time", sa.Float, nullable=False),
    sa.Column("update_time", sa.Float, nullable=False),
    sa.Index("chain_runs_by_update", "update_time"),
)

chain_steps = sa.Table(
    "chain_steps",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("chain_run_id", sa.String(64), primary_key=True),
    sa.Column("step_id", sa.String(512), primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("record", sa.JSON, nullable=False),
)

rollouts = sa.Table(
    "rollouts",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("rollout_id", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("is_over", sa.Boolean, nullable=False),
    sa.Column("content", sa.JSON, nullable=False),
    sa.Column("holder", sa.String(64), nullable=False),
    sa.Column("lease_time", sa.Float, nullable=False),
    sa.Column("start_time", sa.Float, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Index(
        "rollouts_one_runs",
        "tenant",
        "kind",
        "name",
        unique=True,
        sqlite_where=sa.text("is_over = 0"),
        postgresql_where=sa.text("NOT is_over"),
    ),
    sa.Index("rollouts_by_revision", "revision"),
)

champions = sa.Table(
    "champions",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("release", sa.String(128), nullable=False),
    sa.Column("rollout_id", sa.String(64), nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Index("champions_by_revision", "revision"),
)

rollout_observations = sa.Table(
    "rollout_observations",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("rollout_id", sa.String(64), primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("metric", sa.String(96), primary_key=True),
    sa.Column("unit", sa.String(192), primary_key=True),
    sa.Column("arm", sa.String(16), nullable=False),
    sa.Column("value", sa.Float, nullable=False),
    sa.Column("observe_time", sa.Float, nullable=False),
    sa.Column("source", sa.String(128), nullable=False, server_default=""),
)

rollout_doubts = sa.Table(
    "rollout_doubts",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("feedback_id", sa.String(128), primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("counts", sa.Boolean, nullable=False),
)

rollout_gates = sa.Table(
    "rollout_gates",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("rollout_id", sa.String(64), primary_key=True),
    sa.Column("content", sa.JSON, nullable=False),
)

rollout_wishes = sa.Table(
    "rollout_wishes",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("made", sa.Float, nullable=False),
    sa.Column("waits", sa.Boolean, nullable=False),
    sa.Column("content", sa.JSON, nullable=False),
)

rollout_pairs = sa.Table(
    "rollout_pairs",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("rollout_id", sa.String(64), primary_key=True),
    sa.Column("answer_id", sa.String(64), primary_key=True),
    sa.Column("outcome", sa.Integer, nullable=False),
    sa.Column("scores", sa.JSON, nullable=False),
    sa.Column("pair_time", sa.Float, nullable=False),
)
