"""Runs of chains in the service's database."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from gyre.inference.v1 import events_pb2
from gyre_runtime.database import Database
from gyre_runtime.database.transaction import insert_ignore
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_inference import wire
from gyre_inference.adapters.storage import Storage
from gyre_inference.adapters.tables import chain_runs, chain_steps
from gyre_inference.domain.chain_runs import (
    ChainRun,
    RunEnding,
    RunHeader,
    RunState,
    StepRecord,
)
from gyre_inference.domain.faults import Conflict, NotFound
from gyre_inference.domain.generation import Usage
from gyre_inference.domain.record import AnswerRecord, Labels
from gyre_inference.ports import LEASE

_FREE = ""


class DatabaseChainRuns:
    """`ChainRuns` on SQLite or PostgreSQL. Leases end by the clock of the machine that asks."""

    def __init__(self, database: Database) -> None:
        self._storage = Storage(database)

    async def begin(self, tenant: str, header: RunHeader, holder: str) -> ChainRun:
        """See `ChainRuns`."""
        now = time.time()
        async with self._storage.transaction() as transaction:
            connection = transaction.connection
            row = {
                **_key(tenant, header.chain_run_id),
                "header": _header(header),
                "state": RunState.OPEN.value,
                "ending": None,
                "holder": _FREE,
                "lease_time": 0.0,
                "update_time": now,
            }
            await connection.execute(insert_ignore(connection, chain_runs), row)
            if not await _take(connection, tenant, header.chain_run_id, holder, now):
                raise Conflict(f"the run {header.chain_run_id} goes on elsewhere")
            return await _run(connection, tenant, header.chain_run_id)

    async def keep(
        self, tenant: str, chain_run_id: str, holder: str, place: int, step: StepRecord
    ) -> None:
        """See `ChainRuns`."""
        async with self._storage.transaction() as transaction:
            connection = transaction.connection
            if not await _take(connection, tenant, chain_run_id, holder, time.time()):
                raise Conflict(f"the run {chain_run_id} goes on elsewhere")
            row = {
                **_key(tenant, chain_run_id),
                "step_id": step.step_id,
                "position": place,
                "record": _step(step),
            }
            await connection.execute(insert_ignore(connection, chain_steps), row)

    async def renew(self, tenant: str, chain_run_id: str, holder: str) -> bool:
        """See `ChainRuns`."""
        async with self._storage.transaction() as transaction:
            return await _take(transaction.connection, tenant, chain_run_id, holder, time.time())

    async def release(self, tenant: str, chain_run_id: str, holder: str) -> None:
        """See `ChainRuns`."""
        held = *_is(chain_runs, tenant, chain_run_id), chain_runs.c.holder == holder
        freed = sa.update(chain_runs).where(*held).values(holder=_FREE, lease_time=0.0)
        async with self._storage.transaction() as transaction:
            await transaction.connection.execute(freed)

    async def end(
        self, tenant: str, chain_run_id: str, ending: RunEnding, record: AnswerRecord | None
    ) -> None:
        """See `ChainRuns`."""
        told = asdict(ending) | {"state": ending.state.value}
        values = {"state": ending.state.value, "ending": told, "update_time": time.time()}
        where = *_is(chain_runs, tenant, chain_run_id), chain_runs.c.state == RunState.OPEN.value
        async with self._storage.transaction() as transaction:
            ended = await transaction.connection.execute(
                sa.update(chain_runs).where(*where).values(values)
            )
            if record is not None and ended.rowcount:
                event = events_pb2.AnswerGenerated(record=wire.record(record))
                answer = record.answer_id
                transaction.say(event, tenant=tenant, entity_id=answer, cause=answer)

    async def get(self, tenant: str, chain_run_id: str) -> ChainRun:
        """See `ChainRuns`."""
        async with self._storage.reading() as connection:
            return await _run(connection, tenant, chain_run_id)

    async def sweep(self, older: float) -> int:
        """See `ChainRuns`."""
        before = time.time() - older
        gone = sa.select(chain_runs.c.tenant, chain_runs.c.chain_run_id).where(
            chain_runs.c.update_time < before, chain_runs.c.lease_time < time.time()
        )
        async with self._storage.transaction() as transaction:
            rows = (await transaction.connection.execute(gone.limit(500))).all()
            for row in rows:
                for table in (chain_steps, chain_runs):
                    where = _is(table, row.tenant, row.chain_run_id)
                    await transaction.connection.execute(sa.delete(table).where(*where))
        return len(rows)


async def _take(
    connection: AsyncConnection, tenant: str, chain_run_id: str, holder: str, now: float
) -> bool:
    """The lease, where it is free, over, or the holder's own. An ended run needs none."""
    free = sa.or_(
        chain_runs.c.holder == holder,
        chain_runs.c.lease_time < now,
        chain_runs.c.state != RunState.OPEN.value,
    )
    taken = sa.update(chain_runs).where(*_is(chain_runs, tenant, chain_run_id), free)
    result = await connection.execute(
        taken.values(holder=holder, lease_time=now + LEASE, update_time=now)
    )
    return bool(result.rowcount)


async def _run(connection: AsyncConnection, tenant: str, chain_run_id: str) -> ChainRun:
    query = sa.select(chain_runs).where(*_is(chain_runs, tenant, chain_run_id))
    row = (await connection.execute(query)).first()
    if row is None:
        raise NotFound(f"no run {chain_run_id!r}")
    steps = sa.select(chain_steps).where(*_is(chain_steps, tenant, chain_run_id))
    kept = (await connection.execute(steps.order_by(chain_steps.c.position))).all()
    return ChainRun(
        _header_of(row.header), tuple(_step_of(one.record) for one in kept), _ending(row.ending)
    )


def _is(table: sa.Table, tenant: str, chain_run_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.tenant == tenant, table.c.chain_run_id == chain_run_id


def _key(tenant: str, chain_run_id: str) -> dict[str, Any]:
    return {"tenant": tenant, "chain_run_id": chain_run_id}


def _header(header: RunHeader) -> dict[str, Any]:
    return asdict(header) | {"start": header.start.timestamp()}


def _header_of(data: dict[str, Any]) -> RunHeader:
    start = datetime.fromtimestamp(data["start"], UTC)
    return RunHeader(**{**data, "start": start, "labels": Labels(**data["labels"])})


def _step(step: StepRecord) -> dict[str, Any]:
    return asdict(step) | {"start": step.start.timestamp()}


def _step_of(data: dict[str, Any]) -> StepRecord:
    start = datetime.fromtimestamp(data["start"], UTC)
    return StepRecord(**{**data, "start": start, "usage": Usage(**data["usage"])})


def _ending(data: dict[str, Any] | None) -> RunEnding | None:
    return None if data is None else RunEnding(**{**data, "state": RunState(data["state"])})
