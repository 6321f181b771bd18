"""Policies and gates in the service's database; a verdict is said in the commit that keeps it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from gyre_runtime.database import Database
from gyre_runtime.events.compose import compose
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_evaluation.adapters.offline.gate_rows import (
    checks_of,
    declared_from,
    gate_from,
    new_gate,
    parts_of,
)
from gyre_evaluation.adapters.offline.gate_tables import gate_policies, gates
from gyre_evaluation.domain.errors import GateUnknown, PolicyUnknown
from gyre_evaluation.domain.gates.awaited import Awaited
from gyre_evaluation.domain.gates.gate import Approval, Declared, Gate, GateState
from gyre_evaluation.wire.gates import (
    awaited_refused,
    gate_approved,
    gate_cancelled,
    gate_decided,
)

_WITH_POLICY = sa.select(
    gates,
    gate_policies.c.yaml,
    gate_policies.c.author.label("declared_by"),
    gate_policies.c.create_time.label("declare_time"),
).join(
    gate_policies,
    sa.and_(
        gate_policies.c.tenant == gates.c.tenant,
        gate_policies.c.workload == gates.c.workload,
        gate_policies.c.version == gates.c.policy_version,
    ),
)


class DatabaseGates:
    """`Gates` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def declare(self, declared: Declared) -> tuple[Declared, bool]:
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            newest = await _newest(connection, declared.tenant, declared.policy.workload, 0)
            if newest is not None and newest.yaml == declared.yaml:
                return newest, False
            made = replace(declared, version=newest.version + 1 if newest else 1)
            await connection.execute(sa.insert(gate_policies).values(_policy_row(made)))
        return made, True

    async def declared(self, tenant: str, workload: str, version: int) -> Declared:
        async with self._database.reading() as connection:
            found = await _newest(connection, tenant, workload, version)
        if found is None:
            raise PolicyUnknown(f"{workload}@{version}" if version else workload)
        return found

    async def start(self, gate: Gate, creation_key: str) -> Gate:
        mine = sa.and_(gates.c.tenant == gate.tenant, gates.c.creation_key == creation_key)
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            known = creation_key and await connection.scalar(sa.select(gates.c.gate_id).where(mine))
            if not known:
                await connection.execute(sa.insert(gates).values(new_gate(gate, creation_key)))
        return await self.get(gate.tenant, known or gate.gate_id)

    async def get(self, tenant: str, gate_id: str) -> Gate:
        where = sa.and_(gates.c.tenant == tenant, gates.c.gate_id == gate_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(_WITH_POLICY.where(where))).one_or_none()
        if row is None:
            raise GateUnknown(gate_id)
        return gate_from(row)

    async def page(self, tenant: str, workload: str, *, limit: int, before: str) -> list[Gate]:
        query = _WITH_POLICY.where(gates.c.tenant == tenant)
        if workload:
            query = query.where(gates.c.workload == workload)
        if before:
            query = query.where(gates.c.gate_id < before)
        # Ids are UUIDv7: the newest one is the greatest one.
        query = query.order_by(gates.c.gate_id.desc()).limit(limit)
        async with self._database.reading() as connection:
            return [gate_from(row) for row in (await connection.execute(query)).all()]

    async def open(self) -> list[Gate]:
        runs = gates.c.state == GateState.RUNNING.value
        query = _WITH_POLICY.where(runs).order_by(gates.c.gate_id)
        async with self._database.reading() as connection:
            return [gate_from(row) for row in (await connection.execute(query)).all()]

    async def keep(self, gate: Gate) -> bool:
        async with self._database.transaction(aside=True) as transaction:
            return await _change(transaction.connection, gate, {"progress": parts_of(gate)})

    async def decide(self, gate: Gate) -> bool:
        now = datetime.now(UTC)
        values = {
            "state": GateState.DECIDED.value,
            "verdict": gate.verdict.value if gate.verdict else "",
            "progress": parts_of(gate),
            "checks": checks_of(gate.checks),
            "end_time": now.timestamp(),
        }
        async with self._database.transaction() as transaction:
            changed = await _change(transaction.connection, gate, values)
            if changed:
                event = gate_decided(gate, now)
                transaction.say(
                    event, tenant=gate.tenant, entity_id=gate.gate_id, cause=gate.gate_id
                )
        return changed

    async def made_by(self, tenant: str, creation_key: str) -> Gate | None:
        mine = sa.and_(gates.c.tenant == tenant, gates.c.creation_key == creation_key)
        async with self._database.reading() as connection:
            row = (await connection.execute(_WITH_POLICY.where(mine))).one_or_none()
        return gate_from(row) if row else None

    async def refuse(self, awaited: Awaited, reason: str) -> None:
        event = compose(
            awaited_refused(awaited, reason, datetime.now(UTC)),
            tenant=awaited.tenant,
            entity_id=awaited.cause,
            cause=awaited.creation_key,
            name="refused",  # whenever it is said, it is the same event
        )
        async with self._database.transaction() as transaction:
            transaction.put(event)

    async def cancel(self, tenant: str, gate_id: str) -> bool:
        gate, now = await self.get(tenant, gate_id), datetime.now(UTC)
        values = {"state": GateState.CANCELLED.value, "end_time": now.timestamp()}
        async with self._database.transaction(aside=True) as transaction:
            changed = await _change(transaction.connection, gate, values)
            if changed and gate.cause:  # or else it would wait for ever
                event = gate_cancelled(gate, now)
                transaction.say(event, tenant=tenant, entity_id=gate_id, cause=gate_id)
        return changed

    async def approve(self, gate: Gate, approval: Approval) -> Gate:
        this = sa.and_(gates.c.tenant == gate.tenant, gates.c.gate_id == gate.gate_id)
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            known = await connection.scalar(sa.select(gates.c.approvals).where(this))
            words = [*(known or ()), _word(approval)]
            await connection.execute(sa.update(gates).where(this).values(approvals=words))
            event, cause = gate_approved(gate, approval), f"{gate.gate_id}/{len(words)}"
            transaction.say(event, tenant=gate.tenant, entity_id=gate.gate_id, cause=cause)
        return await self.get(gate.tenant, gate.gate_id)


async def _newest(
    connection: AsyncConnection, tenant: str, workload: str, version: int
) -> Declared | None:
    table = gate_policies.c
    query = sa.select(gate_policies).where(table.tenant == tenant, table.workload == workload)
    if version:
        query = query.where(table.version == version)
    query = query.order_by(table.version.desc()).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return (
        declared_from(row.tenant, row.version, row.yaml, row.author, row.create_time)
        if row
        else None
    )


async def _change(connection: AsyncConnection, gate: Gate, values: dict[str, Any]) -> bool:
    still = sa.and_(gates.c.gate_id == gate.gate_id, gates.c.state == GateState.RUNNING.value)
    return (await connection.execute(sa.update(gates).where(still).values(values))).rowcount == 1


def _policy_row(declared: Declared) -> dict[str, Any]:
    return {
        "tenant": declared.tenant,
        "workload": declared.policy.workload,
        "version": declared.version,
        "yaml": declared.yaml,
        "author": declared.author,
        "create_time": declared.create_time.timestamp(),
    }


def _word(approval: Approval) -> dict[str, Any]:
    return {
        "by": approval.by,
        "time": approval.time.timestamp(),
        "granted": approval.granted,
        "reason": approval.reason,
    }
