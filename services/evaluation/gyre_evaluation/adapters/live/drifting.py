"""Traffic that is watched for drift: its observations by number, and the checks of its windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_evaluation.adapters.live.sums import make
from gyre_evaluation.adapters.live.tables import checks, observations, scores, traffic
from gyre_evaluation.domain.drift.findings import Finding
from gyre_evaluation.domain.drift.traffic import Check, Observation, Plan, Progress, Traffic


async def observe(
    connection: AsyncConnection, of: Traffic, source_id: str, observation: Observation
) -> None:
    """Gives it the next number; an observation of the same source changes nothing."""
    known = sa.select(observations.c.number).where(
        observations.c.tenant == of.tenant,
        observations.c.scope == of.scope,
        observations.c.source_id == source_id,
    )
    if (await connection.execute(known)).first() is not None:
        return
    generation, number = await _next(connection, of)
    row = asdict(of) | {
        "source_id": source_id,
        "answer_id": observation.answer_id,
        "generation": generation,
        "number": number,
        "time": observation.time.timestamp(),
        "vector": observation.vector,
        "numbers": dict(observation.numbers),
        "words": dict(observation.words),
    }
    await connection.execute(observations.insert().values(**row))


async def progress(
    connection: AsyncConnection, tenant: str | None, scope: str = ""
) -> list[Progress]:
    """Of all tenants where tenant is None; ordered by scope."""
    query = sa.select(traffic).order_by(traffic.c.scope, traffic.c.tenant)
    if tenant is not None:
        query = query.where(traffic.c.tenant == tenant)
    if scope:
        query = query.where(traffic.c.scope == scope)
    return [
        Progress(Traffic(row.tenant, row.scope), row.generation, row.seen, row.checked)
        for row in await connection.execute(query)
    ]


async def sample(connection: AsyncConnection, of: Progress, numbers: range) -> list[Observation]:
    """In the order of their numbers, with the scores that are known by now."""
    table = observations
    query = sa.select(table).where(
        table.c.tenant == of.traffic.tenant,
        table.c.scope == of.traffic.scope,
        table.c.generation == of.generation,
        table.c.number >= numbers.start,
        table.c.number < numbers.stop,
    )
    rows = (await connection.execute(query.order_by(table.c.number))).all()
    known = await _scores(connection, of.traffic.tenant, [row.answer_id for row in rows])
    return [_observation(row, known.get(row.answer_id, {})) for row in rows]


async def checked(connection: AsyncConnection, of: Progress, plan: Plan, check: Check) -> bool:
    """Keeps a window's check and forgets its observations; False where it was checked before."""
    row = asdict(of.traffic) | {
        "generation": of.generation,
        "window": check.window,
        "start_time": check.start.timestamp(),
        "end_time": check.end.timestamp(),
        "drifted": check.drifted,
        "findings": [asdict(finding) for finding in check.findings],
    }
    if not await make(connection, checks, row):
        return False
    await connection.execute(sa.update(traffic).where(_is(of)).values(checked=check.window + 1))
    numbers = plan.numbers_of(check.window)
    old = observations.c.number.between(numbers.start, numbers.stop - 1)
    spent = sa.delete(observations).where(
        observations.c.tenant == of.traffic.tenant,
        observations.c.scope == of.traffic.scope,
        observations.c.generation == of.generation,
        old,
    )
    await connection.execute(spent)
    return True


async def reset(connection: AsyncConnection, of: Traffic) -> bool:
    """A new generation; False where there is no such traffic."""
    mine = sa.and_(traffic.c.tenant == of.tenant, traffic.c.scope == of.scope)
    fresh = {"generation": traffic.c.generation + 1, "seen": 0, "checked": 0}
    found = await connection.execute(sa.update(traffic).where(mine).values(**fresh))
    gone = sa.delete(observations).where(
        observations.c.tenant == of.tenant, observations.c.scope == of.scope
    )
    await connection.execute(gone)
    return bool(found.rowcount)


async def newest(connection: AsyncConnection, of: Progress, limit: int) -> list[Check]:
    """Checks of this generation, newest first."""
    query = sa.select(checks).where(
        checks.c.tenant == of.traffic.tenant,
        checks.c.scope == of.traffic.scope,
        checks.c.generation == of.generation,
    )
    rows = await connection.execute(query.order_by(checks.c.window.desc()).limit(limit))
    return [_check(row) for row in rows]


async def forget(connection: AsyncConnection, before: float) -> None:
    """Checks of windows that ended before."""
    await connection.execute(sa.delete(checks).where(checks.c.end_time < before))


async def _next(connection: AsyncConnection, of: Traffic) -> tuple[int, int]:
    await make(connection, traffic, asdict(of) | {"generation": 1, "seen": 0, "checked": 0})
    counted = (
        sa.update(traffic)
        .where(traffic.c.tenant == of.tenant, traffic.c.scope == of.scope)
        .values(seen=traffic.c.seen + 1)
        .returning(traffic.c.generation, traffic.c.seen)
    )
    row = (await connection.execute(counted)).one()
    return row.generation, row.seen - 1


async def _scores(
    connection: AsyncConnection, tenant: str, answer_ids: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Of the answers themselves, by metric; people's judgements are traffic of their own."""
    found: dict[str, dict[str, float]] = {}
    for at in range(0, len(answer_ids), 500):
        query = sa.select(scores.c.source_id, scores.c.metric, scores.c.score).where(
            scores.c.tenant == tenant,
            scores.c.source_id.in_(answer_ids[at : at + 500]),
            scores.c.score.is_not(None),
        )
        for source_id, metric, score in await connection.execute(query):
            found.setdefault(source_id, {})[metric] = score
    return found


def _observation(row: Any, known: dict[str, float]) -> Observation:
    time = datetime.fromtimestamp(row.time, UTC)
    return Observation(row.answer_id, time, row.vector, row.numbers | known, row.words)


def _check(row: Any) -> Check:
    findings = [
        Finding(**{**finding, "examples": tuple(finding["examples"])}) for finding in row.findings
    ]
    start, end = (datetime.fromtimestamp(time, UTC) for time in (row.start_time, row.end_time))
    return Check(row.window, start, end, row.drifted, tuple(findings))


def _is(of: Progress) -> sa.ColumnElement[bool]:
    return sa.and_(
        traffic.c.tenant == of.traffic.tenant,
        traffic.c.scope == of.traffic.scope,
        traffic.c.generation == of.generation,
    )
