"""What was judged of experiments whose shares move, as rows, and their shares over time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from gyre_runtime.database.transaction import insert_ignore
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_inference.adapters.rollout_doubts import is_doubted
from gyre_inference.adapters.tables import experiment_observations, experiment_weighings
from gyre_inference.domain.allocation import Weighing
from gyre_inference.domain.experiments import Experiment
from gyre_inference.domain.rollouts import Observation
from gyre_inference.domain.sequential import Arm

_JSON = TypeAdapter(Weighing)


async def add_judgements(
    connection: AsyncConnection, experiment: Experiment, observations: Sequence[Observation]
) -> None:
    """Those that the experiment counts."""
    rows = [
        {
            "tenant": seen.tenant,
            "experiment_id": seen.rollout_id,
            "variant": seen.arm,
            "unit": seen.unit,
            "value": value,
            "observe_time": time.time(),
            "source": seen.source,
        }
        for seen in observations
        if (value := experiment.read(seen.arm, seen.metric, seen.value)) is not None
    ]
    if rows:
        await connection.execute(insert_ignore(connection, experiment_observations), rows)


async def judged(connection: AsyncConnection, tenant: str, experiment_id: str) -> Mapping[str, Arm]:
    """See `Experiments.sums`."""
    table = experiment_observations
    query = (
        sa.select(table.c.variant, sa.func.count(), sa.func.sum(table.c.value))
        .where(*_of(table, tenant, experiment_id), sa.not_(is_doubted(tenant, table.c.source)))
        .group_by(table.c.variant)
    )
    rows = (await connection.execute(query)).all()
    return {variant: Arm(int(count), float(total)) for variant, count, total in rows}


async def forget_judgements(connection: AsyncConnection, tenant: str, experiment_id: str) -> None:
    """What they came to stands in the last weighing."""
    table = experiment_observations
    await connection.execute(sa.delete(table).where(*_of(table, tenant, experiment_id)))


async def add_weighing(
    connection: AsyncConnection, tenant: str, experiment_id: str, weighing: Weighing
) -> None:
    """One more."""
    row = {
        "tenant": tenant,
        "experiment_id": experiment_id,
        "number": weighing.number,
        "content": plain(weighing),
    }
    await connection.execute(sa.insert(experiment_weighings), row)


async def newest_weighings(
    connection: AsyncConnection, tenant: str, experiment_id: str, limit: int
) -> Sequence[Weighing]:
    """See `Experiments.weighings`."""
    table = experiment_weighings
    query = sa.select(table.c.content).where(*_of(table, tenant, experiment_id))
    rows = await connection.execute(query.order_by(table.c.number.desc()).limit(limit))
    return [weighing_in(content) for content in rows.scalars()]


def plain(weighing: Weighing) -> Any:
    """As JSON has it."""
    return _JSON.dump_python(weighing, mode="json")


def weighing_in(data: Any) -> Weighing:
    """What `plain` made."""
    return _JSON.validate_python(data)


def _of(table: sa.Table, tenant: str, experiment_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.tenant == tenant, table.c.experiment_id == experiment_id
