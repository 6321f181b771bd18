"""Experiments in the service's database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from gyre.inference.v1 import events_pb2
from gyre_runtime.database import Database
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_inference import wire
from gyre_inference.adapters.experiment_weighings import (
    add_judgements,
    add_weighing,
    forget_judgements,
    judged,
    newest_weighings,
    plain,
    weighing_in,
)
from gyre_inference.adapters.revision import next_revision
from gyre_inference.adapters.rollout_doubts import forget_doubts
from gyre_inference.adapters.storage import Storage
from gyre_inference.adapters.tables import experiments
from gyre_inference.domain.allocation import Allocation, Weighing
from gyre_inference.domain.experiments import Experiment, StickyBy, Variant, unchanged
from gyre_inference.domain.faults import Conflict, NotFound
from gyre_inference.domain.generation import parameters_in
from gyre_inference.domain.rollouts import Observation
from gyre_inference.domain.sequential import Arm


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
            started = replace(experiment, start=datetime.now(UTC), stop=None, weighing=None)
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
            sums = await judged(connection, tenant, experiment_id)
            stopped = known.stopped(sums, datetime.now(UTC))
            await _keep(connection, tenant, stopped, revision)
            if stopped.weighing is not None:
                await add_weighing(connection, tenant, experiment_id, stopped.weighing)
                await forget_judgements(connection, tenant, experiment_id)
                await forget_doubts(connection, tenant)
            event = events_pb2.ExperimentStopped(experiment=wire.experiment(stopped), author=author)
            transaction.say(event, tenant=tenant, entity_id=experiment_id)
            return stopped

    async def get(self, tenant: str, experiment_id: str) -> Experiment:
        """See `Experiments`."""
        async with self._storage.reading() as connection:
            known = await _find(connection, tenant, experiment_id)
        if known is None:
            raise NotFound(f"no experiment {experiment_id!r}")
        return known

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

    async def adaptive(self) -> Sequence[tuple[str, Experiment]]:
        """See `Experiments`."""
        query = sa.select(experiments).where(experiments.c.stop_time.is_(None))
        async with self._storage.reading() as connection:
            found = [(row.tenant, _read(row)) for row in await connection.execute(query)]
        return [(tenant, one) for tenant, one in found if one.allocation is not None]

    async def observe(self, observations: Sequence[Observation]) -> None:
        """See `Experiments`."""
        first = observations[0]
        async with self._storage.transaction() as transaction:
            connection = transaction.connection
            known = await _find(connection, first.tenant, first.rollout_id, shared=True)
            if known is not None:
                await add_judgements(connection, known, observations)

    async def sums(self, tenant: str, experiment_id: str) -> Mapping[str, Arm]:
        """See `Experiments`."""
        async with self._storage.reading() as connection:
            return await judged(connection, tenant, experiment_id)

    async def reweigh(self, tenant: str, experiment_id: str, weighing: Weighing) -> bool:
        """See `Experiments`."""
        async with self._storage.transaction() as transaction:
            connection = transaction.connection
            revision = await next_revision(connection)
            known = await _find(connection, tenant, experiment_id)
            if known is None or known.stop or known.next_number != weighing.number:
                return False
            after = replace(known, weighing=weighing)
            await _keep(connection, tenant, after, revision)
            await add_weighing(connection, tenant, experiment_id, weighing)
            event = events_pb2.ExperimentReweighted(experiment=wire.experiment(after))
            transaction.say(event, tenant=tenant, entity_id=experiment_id)
            return True

    async def weighings(self, tenant: str, experiment_id: str, limit: int) -> Sequence[Weighing]:
        """See `Experiments`."""
        async with self._storage.reading() as connection:
            return await newest_weighings(connection, tenant, experiment_id, limit)


async def _refuse_second(connection: AsyncConnection, tenant: str, workload: str) -> None:
    where = (
        experiments.c.tenant == tenant,
        experiments.c.workload == workload,
        experiments.c.stop_time.is_(None),
    )
    other = await connection.scalar(sa.select(experiments.c.experiment_id).where(*where))
    if other is not None:
        raise Conflict(f"the experiment {other!r} runs for {workload!r}: stop it first")


async def _keep(
    connection: AsyncConnection, tenant: str, experiment: Experiment, revision: int
) -> None:
    """Its shares of now, and its end."""
    where = (
        experiments.c.tenant == tenant,
        experiments.c.experiment_id == experiment.experiment_id,
    )
    row = row_of(tenant, experiment, revision)
    changed = {name: row[name] for name in ("content", "stop_time", "revision")}
    await connection.execute(sa.update(experiments).where(*where).values(changed))


async def _find(
    connection: AsyncConnection, tenant: str, experiment_id: str, *, shared: bool = False
) -> Experiment | None:
    """shared: it does not end before the transaction does."""
    where = experiments.c.tenant == tenant, experiments.c.experiment_id == experiment_id
    query = sa.select(experiments).where(*where)
    query = query.with_for_update(read=True) if shared else query
    row = (await connection.execute(query)).first()
    return None if row is None else _read(row)


def row_of(tenant: str, experiment: Experiment, revision: int) -> dict[str, Any]:
    """As it is kept."""
    assert experiment.start is not None
    return {
        "tenant": tenant,
        "experiment_id": experiment.experiment_id,
        "workload": experiment.workload,
        "content": {
            "variants": [asdict(variant) for variant in experiment.variants],
            "sticky_by": experiment.sticky_by.value,
            "message": experiment.message,
            "allocation": asdict(experiment.allocation) if experiment.allocation else None,
            "weighing": plain(experiment.weighing) if experiment.weighing else None,
        },
        "author": experiment.author,
        "start_time": experiment.start.timestamp(),
        "stop_time": experiment.stop.timestamp() if experiment.stop else None,
        "revision": revision,
    }


def _read(row: sa.Row[Any]) -> Experiment:
    allocation, weighing = (row.content.get(name) for name in ("allocation", "weighing"))
    return Experiment(
        experiment_id=row.experiment_id,
        workload=row.workload,
        variants=tuple(_variant(one) for one in row.content["variants"]),
        sticky_by=StickyBy(row.content["sticky_by"]),
        message=row.content["message"],
        author=row.author,
        start=_time(row.start_time),
        stop=_time(row.stop_time),
        allocation=Allocation(**allocation) if allocation else None,
        weighing=weighing_in(weighing) if weighing else None,
    )


def _variant(data: dict[str, Any]) -> Variant:
    return Variant(**{**data, "parameters": parameters_in(data["parameters"])})


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
