"""Runs in the service's database; their end is said in the commit that keeps it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from gyre_runtime.database import Database
from gyre_runtime.database.transaction import insert_ignore
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_evaluation.adapters.offline.plans import (
    item_from,
    item_row,
    plan_of,
    result_of,
    run_from,
)
from gyre_evaluation.adapters.offline.tables import answer_cache, items, runs
from gyre_evaluation.domain.comparison import Difference
from gyre_evaluation.domain.errors import RunUnknown
from gyre_evaluation.domain.runs import Item, Produced, Run, RunState, Target, produced_from
from gyre_evaluation.wire.runs import ended_events

OPEN = [state.value for state in RunState if not state.ended]
_COUNTS = (
    sa.select(
        items.c.run_id,
        sa.func.count().label("done"),
        sa.func.sum(sa.cast(items.c.failed, sa.Integer)).label("failures"),
        sa.func.sum(sa.cast(items.c.cached, sa.Integer)).label("cached"),
    )
    .group_by(items.c.run_id)
    .subquery()
)
_COUNTED = sa.select(
    runs,
    sa.func.coalesce(_COUNTS.c.done, 0).label("done"),
    _COUNTS.c.failures,
    _COUNTS.c.cached,
).select_from(runs.outerjoin(_COUNTS, _COUNTS.c.run_id == runs.c.run_id))


class DatabaseRuns:
    """`Runs` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self, run: Run, creation_key: str) -> Run:
        mine = sa.and_(runs.c.tenant == run.tenant, runs.c.creation_key == creation_key)
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            known = creation_key and await connection.scalar(sa.select(runs.c.run_id).where(mine))
            if not known:
                await connection.execute(sa.insert(runs).values(_new(run, creation_key)))
        return await self.get(run.tenant, known or run.run_id)

    async def get(self, tenant: str, run_id: str) -> Run:
        where = sa.and_(runs.c.tenant == tenant, runs.c.run_id == run_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(_COUNTED.where(where))).one_or_none()
        if row is None:
            raise RunUnknown(run_id)
        return run_from(row)

    async def page(self, tenant: str, dataset: str, *, limit: int, before: str) -> list[Run]:
        query = _COUNTED.where(runs.c.tenant == tenant)
        if dataset:
            query = query.where(runs.c.dataset == dataset)
        if before:
            query = query.where(runs.c.run_id < before)
        # Ids are UUIDv7: the newest one is the greatest one.
        query = query.order_by(runs.c.run_id.desc()).limit(limit)
        async with self._database.reading() as connection:
            return [run_from(row) for row in (await connection.execute(query)).all()]

    async def cancel(self, tenant: str, run_id: str) -> Run:
        run = await self.get(tenant, run_id)
        values = {"state": RunState.CANCELLED.value, "end_time": time.time(), "owner": ""}
        await self._change(sa.and_(runs.c.run_id == run.run_id, runs.c.state.in_(OPEN)), values)
        return await self.get(tenant, run_id)

    async def claim(self, owner: str, lease: float) -> Run | None:
        free = sa.and_(runs.c.state.in_(OPEN), runs.c.lease_until < time.time())
        oldest = sa.select(runs.c.run_id, runs.c.tenant).where(free).order_by(runs.c.run_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(oldest.limit(1))).one_or_none()
        if row is None:
            return None
        # Another process may have been faster: the same condition is checked by the update.
        claimed = await self._change(
            sa.and_(runs.c.run_id == row.run_id, free),
            {"owner": owner, "state": RunState.RUNNING.value, "lease_until": time.time() + lease},
        )
        return await self.get(row.tenant, row.run_id) if claimed else None

    async def renew(self, run_id: str, owner: str, lease: float) -> bool:
        mine = sa.and_(runs.c.run_id == run_id, runs.c.owner == owner, runs.c.state.in_(OPEN))
        return await self._change(mine, {"lease_until": time.time() + lease}) == 1

    async def begin(self, run_id: str, target: Target, metrics: Sequence[str], count: int) -> None:
        fresh = sa.and_(runs.c.run_id == run_id, runs.c.examples == 0)
        async with self._database.transaction(aside=True) as transaction:
            connection = transaction.connection
            plan = await connection.scalar(sa.select(runs.c.plan).where(fresh))
            if plan is not None:
                fixed = {**plan, "target": target.as_json(), "metrics": [*metrics]}
                values = {"plan": fixed, "examples": count}
                await connection.execute(sa.update(runs).where(fresh).values(values))

    async def record(self, run_id: str, item: Item, key: str) -> None:
        async with self._database.transaction(aside=True) as transaction:
            connection = transaction.connection
            await connection.execute(insert_ignore(connection, items), item_row(run_id, item))
            if key and not item.produced.error:
                tenant = await connection.scalar(
                    sa.select(runs.c.tenant).where(runs.c.run_id == run_id)
                )
                await _remember(connection, str(tenant), key, item.produced)

    async def items(self, run_id: str) -> list[Item]:
        query = sa.select(items).where(items.c.run_id == run_id).order_by(items.c.example_id)
        async with self._database.reading() as connection:
            return [item_from(row) for row in (await connection.execute(query)).all()]

    async def item(self, run_id: str, example_id: str) -> Item | None:
        where = sa.and_(items.c.run_id == run_id, items.c.example_id == example_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(sa.select(items).where(where))).one_or_none()
        return item_from(row) if row else None

    async def cached(self, tenant: str, key: str) -> Produced | None:
        where = sa.and_(answer_cache.c.tenant == tenant, answer_cache.c.key == key)
        async with self._database.reading() as connection:
            found = await connection.scalar(sa.select(answer_cache.c.produced).where(where))
        return produced_from(found) if found else None

    async def finish(self, run: Run, differences: Sequence[Difference]) -> None:
        ended = {
            "state": run.state.value,
            "detail": run.detail,
            "result": result_of(run),
            "end_time": time.time(),
            "owner": "",
        }
        still = sa.and_(runs.c.run_id == run.run_id, runs.c.state.in_(OPEN))
        async with self._database.transaction() as transaction:
            update = sa.update(runs).where(still).values(ended)
            changed = (await transaction.connection.execute(update)).rowcount
            if changed and run.state is RunState.SUCCEEDED:
                for event in ended_events(run, differences):
                    transaction.say(
                        event, tenant=run.tenant, entity_id=run.run_id, cause=run.run_id
                    )

    async def _change(self, where: sa.ColumnElement[bool], values: dict[str, Any]) -> int:
        async with self._database.transaction(aside=True) as transaction:
            update = sa.update(runs).where(where).values(values)
            return int((await transaction.connection.execute(update)).rowcount)


async def _remember(connection: AsyncConnection, tenant: str, key: str, produced: Produced) -> None:
    row = {"tenant": tenant, "key": key, "produced": produced.as_json(), "time": time.time()}
    await connection.execute(insert_ignore(connection, answer_cache), row)


def _new(run: Run, creation_key: str) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "tenant": run.tenant,
        "creation_key": creation_key or None,
        "dataset": run.dataset,
        "dataset_version": run.dataset_version,
        "plan": plan_of(run),
        "state": RunState.QUEUED.value,
        "detail": "",
        "examples": 0,
        "result": {},
        "owner": "",
        "lease_until": 0.0,
        "create_time": run.create_time.timestamp(),
    }
