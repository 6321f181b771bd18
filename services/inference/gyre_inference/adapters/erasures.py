"""Erasures in the service's database: asked for, done here, done elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
import uuid_utils
from gyre.inference.v1.events_pb2 import AnswerFailed, AnswerGenerated, ErasureRequested
from gyre_runtime import erasing
from gyre_runtime.database import Database, Transaction
from gyre_runtime.database.tombstones import Tombstones
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_inference.adapters.storage import Storage
from gyre_inference.adapters.tables import chain_runs, chain_steps, metadata, throttles
from gyre_inference.domain.erasures import (
    INFERENCE,
    SERVICES,
    Erasure,
    ErasureRequest,
    Forgotten,
)
from gyre_inference.domain.faults import Conflict, NotFound
from gyre_inference.wire.privacy import stamp

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("erasure_id", sa.String(64), primary_key=True),
    sa.Column("creation_key", sa.String(128)),
    sa.Column("mark", sa.String(64), nullable=False),
    sa.Column("principal", sa.String(128), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("request_time", sa.Double, nullable=False),
    sa.Column("forgotten", sa.JSON, nullable=False),
    sa.Column("complete_time", sa.Double),
    sa.Index("erasures_creation", "tenant", "creation_key", unique=True),
)


class DatabaseErasures:
    """`Erasures`. grace: seconds that answers which are being given at the request may take. Whom
    one is about is a salted hash, and no longer than until it is complete."""

    def __init__(
        self, database: Database, *, grace: float, failed: Callable[[Exception], None]
    ) -> None:
        self._storage = Storage(database)
        self._tombstones = Tombstones(database)
        self.eraser = erasing.Eraser(
            database, _erase, self._done_here, _CONCERNED, grace=grace, failed=failed
        )

    async def begin(self, tenant: str, principal: str, request: ErasureRequest) -> Erasure:
        """See `Erasures`."""
        now, erasure_id = time.time(), str(uuid_utils.uuid7())
        async with self._storage.transaction() as transaction:
            connection = transaction.connection
            mark = await self._tombstones.mark(connection, tenant, request.end_user)
            if known := await _of_key(connection, tenant, request.creation_key):
                if known.mark not in ("", mark):
                    raise Conflict("this creation_key stands for another person")
                return _erasure(known)
            row: dict[str, Any] = {
                "tenant": tenant,
                "erasure_id": erasure_id,
                "creation_key": request.creation_key or None,
                "mark": mark,
                "principal": principal,
                "reason": request.reason,
                "request_time": now,
                "forgotten": {},
                "complete_time": None,
            }
            await connection.execute(sa.insert(erasures), row)
            wanted = erasing.Erasure(erasure_id, tenant, request.end_user, now)
            await self.eraser.ask(transaction, wanted)
            event = ErasureRequested(
                erasure_id=erasure_id,
                end_user=request.end_user,
                request_time=stamp(datetime.fromtimestamp(now, UTC)),
            )
            transaction.say(event, tenant=tenant, entity_id=erasure_id, cause=erasure_id)
        return await self.get(tenant, erasure_id)

    async def get(self, tenant: str, erasure_id: str) -> Erasure:
        """See `Erasures`."""
        async with self._storage.reading() as connection:
            query = sa.select(erasures).where(*_is(tenant, erasure_id))
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound(f"no erasure {erasure_id!r}")
        return _erasure(row)

    async def forgotten(self, tenant: str, erasure_id: str, by: Forgotten) -> None:
        """See `Erasures`."""
        async with self._storage.transaction() as transaction:
            await _note(transaction.connection, tenant, erasure_id, by)

    async def _done_here(
        self, transaction: Transaction, wanted: erasing.Erasure, counts: erasing.Counts
    ) -> None:
        by = Forgotten(INFERENCE, counts, datetime.now(UTC))
        await _note(transaction.connection, wanted.tenant, wanted.erasure_id, by)


async def _erase(transaction: Transaction, wanted: erasing.Erasure) -> Mapping[str, int]:
    """Runs of chains with their steps, and throttles. What else is kept names nobody."""
    connection = transaction.connection
    mine = (
        chain_runs.c.tenant == wanted.tenant,
        chain_runs.c.header["labels"]["end_user"].as_string() == wanted.subject,
        chain_runs.c.header["start"].as_float() <= wanted.until,
    )
    ids = sa.select(chain_runs.c.chain_run_id).where(*mine)
    theirs = chain_steps.c.tenant == wanted.tenant, chain_steps.c.chain_run_id.in_(ids)
    steps = await connection.execute(sa.delete(chain_steps).where(*theirs))
    runs = await connection.execute(sa.delete(chain_runs).where(*mine))
    held = throttles.c.tenant == wanted.tenant, throttles.c.end_user == wanted.subject
    let_go = await connection.execute(sa.delete(throttles).where(*held))
    return {
        "chain_steps": steps.rowcount,
        "chain_runs": runs.rowcount,
        "throttles": let_go.rowcount,
    }


async def _concerned(
    _: AsyncConnection, event: AnswerGenerated | AnswerFailed, wanted: erasing.Erasure
) -> bool:
    record = event.record
    asked = record.request_time.seconds + record.request_time.nanos / 1e9
    return bool(record.end_user == wanted.subject and asked <= wanted.until)


async def _names(_: AsyncConnection, event: ErasureRequested, wanted: erasing.Erasure) -> bool:
    return bool(event.erasure_id == wanted.erasure_id)


_CONCERNED: erasing.Concerned = {
    AnswerGenerated: _concerned,
    AnswerFailed: _concerned,
    ErasureRequested: _names,
}


async def _of_key(connection: AsyncConnection, tenant: str, creation_key: str) -> Any:
    if not creation_key:
        return None
    mine = erasures.c.tenant == tenant, erasures.c.creation_key == creation_key
    return (await connection.execute(sa.select(erasures).where(*mine))).one_or_none()


async def _note(connection: AsyncConnection, tenant: str, erasure_id: str, by: Forgotten) -> None:
    """The first word of a service stays; the last one of all completes it."""
    query = sa.select(erasures).where(*_is(tenant, erasure_id)).with_for_update()
    row = (await connection.execute(query)).one_or_none()
    if row is None or by.service in row.forgotten or by.time is None:
        return
    moment = by.time.timestamp()
    forgotten = {**row.forgotten, by.service: {"erased": dict(by.erased), "time": moment}}
    values: dict[str, Any] = {"forgotten": forgotten}
    if set(SERVICES) <= forgotten.keys():
        values |= {"complete_time": time.time(), "mark": ""}
    await connection.execute(sa.update(erasures).where(*_is(tenant, erasure_id)).values(**values))


def _is(tenant: str, erasure_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return erasures.c.tenant == tenant, erasures.c.erasure_id == erasure_id


def _erasure(row: Any) -> Erasure:
    return Erasure(
        erasure_id=row.erasure_id,
        tenant=row.tenant,
        principal=row.principal,
        reason=row.reason,
        request_time=datetime.fromtimestamp(row.request_time, UTC),
        services=tuple(_forgotten(name, row.forgotten.get(name)) for name in SERVICES),
        complete_time=_time(row.complete_time),
    )


def _forgotten(service: str, told: dict[str, Any] | None) -> Forgotten:
    return Forgotten(service, told["erased"], _time(told["time"])) if told else Forgotten(service)


def _time(moment: float | None) -> datetime | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC)
