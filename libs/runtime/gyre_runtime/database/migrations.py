"""Migrations by alembic: a service has only a folder of revisions, the environment is here."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from gyre_runtime.database.tables import runtime_tables


def upgrade(connection: sa.Connection, metadata: sa.MetaData, versions: Path | None) -> None:
    """Brings the tables to the newest revision; without `versions`, makes what is declared.

    The runtime's own tables are made where they are missing, before the service's revisions.
    """
    _alone(connection)
    if versions is None:
        metadata.create_all(connection)
        return
    tables = runtime_tables(metadata)
    metadata.create_all(connection, tables=[getattr(tables, one.name) for one in fields(tables)])
    _run(connection, metadata, versions)


def _alone(connection: sa.Connection) -> None:
    """Replicas start together: on PostgreSQL two that make the same table both fail.

    SQLite needs nothing: its transaction began as the only writer.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('gyre.migrations'))"))


def _run(connection: sa.Connection, metadata: sa.MetaData, versions: Path) -> None:
    # Here, because it takes a tenth of the start, and not every service has revisions.
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(versions.parent))
    config.set_main_option("version_locations", str(versions))
    config.set_main_option("path_separator", "newline")
    script = ScriptDirectory.from_config(config)

    def steps(revision: Any, _: Any) -> Any:
        return script._upgrade_revs("heads", revision)

    with EnvironmentContext(config, script, fn=steps) as context:
        context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
        with context.begin_transaction():
            context.run_migrations()
