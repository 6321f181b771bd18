"""Releases that were heard of, in the service's database. Times are seconds since 1970 (UTC)."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa
from gyre_runtime.database import Database
from gyre_runtime.database.transaction import insert_ignore

from gyre_retraining.adapters.tables import metadata
from gyre_retraining.domain.releases import Release

releases = sa.Table(
    "model_releases",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("cause", sa.String(128), primary_key=True, comment="a rollout or a reindexing"),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("moment", sa.Double, nullable=False),
    sa.Column("in_use", sa.Boolean, nullable=False),
)


class DatabaseReleases:
    """`Releases`. Written beside the event's own transaction, which comes after the aliases."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, release: Release) -> None:
        here = sa.and_(
            releases.c.tenant == release.tenant,
            releases.c.name == release.name,
            releases.c.cause == release.cause,
        )
        news = {"version": release.version, "moment": release.moment, "in_use": release.in_use}
        async with self._database.transaction(aside=True) as transaction:
            connection = transaction.connection
            await connection.execute(insert_ignore(connection, releases), asdict(release))
            older = sa.and_(here, releases.c.moment < release.moment)
            await connection.execute(sa.update(releases).where(older).values(**news))

    async def of(self, tenant: str, name: str) -> list[Release]:
        mine = sa.and_(releases.c.tenant == tenant, releases.c.name == name)
        query = sa.select(releases).where(mine).order_by(releases.c.cause)
        async with self._database.reading() as connection:
            return [Release(*row) for row in await connection.execute(query)]
