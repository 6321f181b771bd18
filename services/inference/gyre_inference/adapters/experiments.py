"""Experiments in the service's database."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from gyre.inference.v1 import events_pb2
from gyre_runtime.database import Database
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_inference import wire
from gyre_inference.adapters.revision import next_revision
from gyre_inference.adapters.storage import Storage
from gyre_inference.adapters.tables import experiments
from gyre_inference.domain.experiments import Experiment, StickyBy, Variant, unchanged
from gyre_inference.domain.faults import Conflict, NotFound
from gyre_inference.domain.generation import parameters_in


class DatabaseExperiments:
    """`Experiments` on SQLite or PostgreSQL. Writers queue at the row of the revision."""

    def __init__(self, database: Database) -> None:
        self._storage = Storage(database)

    async def start(self, tenant: str, experiment: Experiment) -> Experiment:
        """See `Experiments`."""
        async with self._storage.transaction() as transaction:
            connection = transaction.connection
            revision = await next_revision(connection)
            known = await _find(connection, tenant, experiment.experiment_id)
            if known is not None:
                return unchanged(known, experiment)
            await _refuse_second(connection, tenant, experiment.workload)
            started = replace(experiment, start=datetime.now(UTC), stop=None)
            await connection.execute(sa.insert(experiments), row_of(tenant, started, revision))
            event = events_pb2.ExperimentStarted(experiment=wire.experiment(started))
            transaction.say(event, tenant=tenant, entity_id=started.experiment_id)
            return started

    async def stop(self, tenant: str, experiment_id: str, author: str) -> Experiment:
        """See `Experiments`."""
        async with self._storage.transaction() as transaction:
            connection = transaction.connection
            revision = await next_revision(connection)
            known = await _find(connection, tenant, experiment_id)
            if known is None:
                raise NotFound(f"no experiment {experiment_id!r}")
            if known.stop is not None:
                return known
            now = time.time()
            where = experiments.c.tenant == tenant, experiments.c.experiment_id == experiment_id
            ended = sa.update(experiments).where(*where).values(stop_time=now, revision=revision)
            await connection.execute(ended)
            stopped = replace(known, stop=datetime.fromtimestamp(now, UTC))
            event = events_pb2.ExperimentStopped(experiment=wire.experiment(stopped), author=author)
            transaction.say(event, tenant=tenant, entity_id=experiment_id)
            return stopped

    async def list(
        self, tenant: str, running: bool, offset: int, limit: int
    ) -> Sequence[Experiment]:
        """See `Experiments`."""
        query = sa.select(experiments).where(experiments.c.tenant == tenant)
        if running:
            query = query.where(experiments.c.stop_time.is_(None))
        newest = experiments.c.start_time.desc(), experiments.c.experiment_id
        async with self._storage.reading() as connection:
            rows = await connection.execute(query.order_by(*newest).offset(offset).limit(limit))
            return [_read(row) for row in rows]

    async def changes(self, since: int) -> Sequence[tuple[str, Experiment]]:
        """See `Experiments`."""
        query = sa.select(experiments).where(experiments.c.revision > since)
        async with self._storage.reading() as connection:
            rows = await connection.execute(query.order_by(experiments.c.revision))
            return [(row.tenant, _read(row)) for row in rows]


async def _refuse_second(connection: AsyncConnection, tenant: str, workload: str) -> None:
    where = (
        experiments.c.tenant == tenant,
        experiments.c.workload == workload,
        experiments.c.stop_time.is_(None),
    )
    other = await connection.scalar(sa.select(experiments.c.experiment_id).where(*where))
    if other is not None:
        raise Conflict(f"the experiment {other!r} runs for {workload!r}: stop it first")


async def _find(connection: AsyncConnection, tenant: str, experiment_id: str) -> Experiment | None:
    where = experiments.c.tenant == tenant, experiments.c.experiment_id == experiment_id
    row = (await connection.execute(sa.select(experiments).where(*where))).first()
    return None if row is None else _read(row)


def row_of(tenant: str, experiment: Experiment, revision: int) -> dict[str, Any]:
    """One that runs."""
    assert experiment.start is not None
    return {
        "tenant": tenant,
        "experiment_id": experiment.experiment_id,
        "workload": experiment.workload,
        "content": {
            "variants": [asdict(variant) for variant in experiment.variants],
            "sticky_by": experiment.sticky_by.value,
            "message": experiment.message,
        },
        "author": experiment.author,
        "start_time": experiment.start.timestamp(),
        "stop_time": None,
        "revision": revision,
    }


def _read(row: sa.Row[Any]) -> Experiment:
    return Experiment(
        experiment_id=row.experiment_id,
        workload=row.workload,
        variants=tuple(_variant(one) for one in row.content["variants"]),
        sticky_by=StickyBy(row.content["sticky_by"]),
        message=row.content["message"],
        author=row.author,
        start=_time(row.start_time),
        stop=_time(row.stop_time),
    )


def _variant(data: dict[str, Any]) -> Variant:
    return Variant(**{**data, "parameters": parameters_in(data["parameters"])})


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
