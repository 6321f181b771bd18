"""What was observed of a rollout, as rows: the first value of a unit counts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from gyre_runtime.database.transaction import insert_ignore
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_inference.adapters.rollout_doubts import forget_doubts, is_doubted
from gyre_inference.adapters.tables import (
    rollout_gates,
    rollout_observations,
    rollout_pairs,
)
from gyre_inference.domain.rollouts import SECONDS, Observation, Pair, Rollout
from gyre_inference.domain.sequential import Arm, Pairs


async def add_observations(
    connection: AsyncConnection,
    observations: Sequence[Observation],
    known: Mapping[tuple[str, str], Rollout | None],
) -> None:
    """Those that their rollout counts now."""
    rows = []
    for seen in observations:
        rollout = known[seen.tenant, seen.rollout_id]
        read = rollout.read(seen) if rollout else None
        if rollout is not None and read is not None:
            rows.append(
                {
                    "tenant": seen.tenant,
                    "rollout_id": seen.rollout_id,
                    "step": rollout.step,
                    "metric": read[0],
                    "unit": seen.unit,
                    "arm": seen.arm,
                    "value": read[1],
                    "observe_time": time.time(),
                    "source": seen.source,
                }
            )
    if rows:
        await connection.execute(insert_ignore(connection, rollout_observations), rows)


async def sums_of(
    connection: AsyncConnection, tenant: str, rollout_id: str, step: int, doubted: bool
) -> Mapping[tuple[str, str], Arm]:
    """See `Rollouts`."""
    table = rollout_observations
    query = (
        sa.select(table.c.metric, table.c.arm, sa.func.count(), sa.func.sum(table.c.value))
        .where(table.c.tenant == tenant, table.c.rollout_id == rollout_id, table.c.step == step)
        .group_by(table.c.metric, table.c.arm)
    )
    if not doubted:
        query = query.where(sa.not_(is_doubted(tenant, table.c.source)))
    rows = (await connection.execute(query)).all()
    return {(metric, arm): Arm(int(count), float(total)) for metric, arm, count, total in rows}


async def seconds_of(connection: AsyncConnection, tenant: str, rollout_id: str) -> list[float]:
    """See `Rollouts`."""
    table = rollout_observations
    here = table.c.tenant == tenant, table.c.rollout_id == rollout_id, table.c.step == 0
    query = sa.select(table.c.value).where(*here, table.c.metric == SECONDS)
    return [float(value) for value in (await connection.execute(query)).scalars()]


async def add_pair(connection: AsyncConnection, tenant: str, rollout_id: str, pair: Pair) -> None:
    """See `Rollouts`."""
    row = {
        "tenant": tenant,
        "rollout_id": rollout_id,
        "answer_id": pair.answer_id,
        "outcome": pair.outcome,
        "scores": dict(pair.scores),
        "pair_time": time.time(),
    }
    await connection.execute(insert_ignore(connection, rollout_pairs), row)


async def pairs_of(connection: AsyncConnection, tenant: str, rollout_id: str) -> Pairs:
    """See `Rollouts`."""
    table = rollout_pairs
    query = (
        sa.select(table.c.outcome, sa.func.count())
        .where(table.c.tenant == tenant, table.c.rollout_id == rollout_id)
        .group_by(table.c.outcome)
    )
    rows = (await connection.execute(query)).all()
    found = {int(outcome): int(count) for outcome, count in rows}
    return Pairs(found.get(1, 0), found.get(0, 0), found.get(-1, 0))


async def forget(connection: AsyncConnection, tenant: str, rollout_id: str) -> None:
    """Everything that was observed and heard: what it came to stands in the transitions."""
    for table in (rollout_observations, rollout_pairs, rollout_gates):
        here = table.c.tenant == tenant, table.c.rollout_id == rollout_id
        await connection.execute(sa.delete(table).where(*here))
    await forget_doubts(connection, tenant)
