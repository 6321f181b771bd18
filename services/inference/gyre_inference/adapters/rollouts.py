"""Rollouts in the service's database: a transition, what it puts in force and its events commit
together."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from gyre.inference.v1 import events_pb2
from gyre_runtime.database import Database, Transaction
from gyre_runtime.database.transaction import upsert
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_inference import wire
from gyre_inference.adapters.experiments import row_of
from gyre_inference.adapters.registry_rows import holdings_of
from gyre_inference.adapters.revision import next_revision
from gyre_inference.adapters.rollout_doubts import keep_doubt
from gyre_inference.adapters.rollout_gates import keep_word, word_of
from gyre_inference.adapters.rollout_sums import (
    add_observations,
    add_pair,
    forget,
    pairs_of,
    seconds_of,
    sums_of,
)
from gyre_inference.adapters.rollout_wishes import keep_wish, waiting, waits_no_more
from gyre_inference.adapters.shelf import DatabaseShelf
from gyre_inference.adapters.storage import Storage
from gyre_inference.adapters.tables import champions, experiments, rollouts
from gyre_inference.domain.faults import Conflict, NotFound
from gyre_inference.domain.gates import Approval, Decision, GateWord
from gyre_inference.domain.registry import PRODUCTION, Key, Kind
from gyre_inference.domain.rollouts import (
    Doubt,
    Observation,
    Pair,
    Rollout,
    RolloutKind,
    RolloutState,
    replaced,
    started_before,
)
from gyre_inference.domain.sequential import Arm, Pairs
from gyre_inference.domain.served import ServedModels, served_models
from gyre_inference.domain.wishes import Wish
from gyre_inference.ports import LEASE, RolloutChanges
from gyre_inference.use_cases.shelving import Promotion, promote

_FREE = ""
_JSON = TypeAdapter(Rollout)


class DatabaseRollouts:
    """`Rollouts` on SQLite or PostgreSQL. Writers queue at the row of the revision."""

    def __init__(self, database: Database) -> None:
        self._storage = Storage(database)

    async def start(self, rollout: Rollout) -> Rollout:
        """See `Rollouts`."""
        async with self._storage.transaction() as transaction:
            connection = transaction.connection
            revision = await next_revision(connection)
            if rollout.creation_key:
                known = await _find(connection, rollout.tenant, rollout.rollout_id)
                if known is not None:
                    return started_before(known, rollout)
            await _refuse_second(connection, rollout)
            key = {"tenant": rollout.tenant, "rollout_id": rollout.rollout_id}
            fresh = {"holder": _FREE, "lease_time": 0.0, "start_time": rollout.start.timestamp()}
            row = key | fresh | _row(rollout, revision)
            await connection.execute(sa.insert(rollouts), row)
            shared = row_of(rollout.tenant, rollout.sticks(), revision)
            await connection.execute(sa.insert(experiments), shared)
            event = events_pb2.RolloutStarted(rollout=wire.rollout(rollout))
            transaction.say(event, tenant=rollout.tenant, entity_id=rollout.rollout_id)
            return rollout

    async def change(self, before: Rollout, after: Rollout) -> Rollout:
        """See `Rollouts`."""
        async with self._storage.transaction() as transaction:
            connection = transaction.connection
            revision = await next_revision(connection)
            here = (
                *_is(rollouts, before.tenant, before.rollout_id),
                rollouts.c.number == before.number,
            )
            changed = sa.update(rollouts).where(*here).values(_row(after, revision))
            if not (await connection.execute(changed)).rowcount:
                raise Conflict(f"the rollout {before.rollout_id} changed meanwhile: look again")
            await _share(connection, after, revision)
            await _put_in_force(transaction, before, after, revision)
            if after.is_over:
                await forget(connection, after.tenant, after.rollout_id)
            _say(transaction, before, after)
            return after

    async def get(self, tenant: str, rollout_id: str) -> Rollout:
        """See `Rollouts`."""
        async with self._storage.reading() as connection:
            found = await _find(connection, tenant, rollout_id)
        if found is None:
            raise NotFound(f"no rollout {rollout_id!r}")
        return found

    async def list(self, tenant: str, running: bool, offset: int, limit: int) -> Sequence[Rollout]:
        """See `Rollouts`."""
        query = sa.select(rollouts.c.content).where(rollouts.c.tenant == tenant)
        if running:
            query = query.where(sa.not_(rollouts.c.is_over))
        newest = rollouts.c.start_time.desc(), rollouts.c.rollout_id
        return await self._read(query.order_by(*newest).offset(offset).limit(limit))

    async def running(self) -> Sequence[Rollout]:
        """See `Rollouts`."""
        return await self._read(
            sa.select(rollouts.c.content)
            .where(sa.not_(rollouts.c.is_over))
            .order_by(rollouts.c.start_time)
        )

    async def take(self, tenant: str, rollout_id: str, holder: str) -> Rollout | None:
        """See `Rollouts`. Leases end by the clock of the machine that asks."""
        now = time.time()
        free = sa.or_(rollouts.c.holder == holder, rollouts.c.lease_time < now)
        here = *_is(rollouts, tenant, rollout_id), sa.not_(rollouts.c.is_over), free
        taken = sa.update(rollouts).where(*here).values(holder=holder, lease_time=now + LEASE)
        async with self._storage.transaction() as transaction:
            if not (await transaction.connection.execute(taken)).rowcount:
                return None
            return await _find(transaction.connection, tenant, rollout_id)

    async def release(self, tenant: str, rollout_id: str, holder: str) -> None:
        """See `Rollouts`."""
        held = *_is(rollouts, tenant, rollout_id), rollouts.c.holder == holder
        freed = sa.update(rollouts).where(*held).values(holder=_FREE, lease_time=0.0)
        async with self._storage.transaction() as transaction:
            await transaction.connection.execute(freed)

    async def champion(self, tenant: str, name: str) -> str:
        """See `Rollouts`."""
        async with self._storage.reading() as connection:
            return await _champion(connection, tenant, name)

    async def changes(self, since: int) -> RolloutChanges:
        """See `Rollouts`."""
        named = sa.select(champions).where(champions.c.revision > since)
        moved = sa.select(rollouts.c.content).where(rollouts.c.revision > since)
        async with self._storage.reading() as connection:
            rows = (await connection.execute(named.order_by(champions.c.revision))).all()
            found = (await connection.execute(moved.order_by(rollouts.c.revision))).scalars()
            return RolloutChanges(
                [(row.tenant, row.name, row.release) for row in rows],
                [_JSON.validate_python(content) for content in found],
            )

    async def observe(self, observations: Sequence[Observation]) -> None:
        """See `Rollouts`."""
        async with self._storage.transaction() as transaction:
            connection = transaction.connection
            counting: dict[tuple[str, str], Rollout | None] = {}
            for seen in observations:
                place = seen.tenant, seen.rollout_id
                if place not in counting:
                    counting[place] = await _find(connection, *place)
            await add_observations(connection, observations, counting)

    async def sums(
        self, tenant: str, rollout_id: str, step: int, *, doubted: bool = True
    ) -> Mapping[tuple[str, str], Arm]:
        """See `Rollouts`."""
        async with self._storage.reading() as connection:
            return await sums_of(connection, tenant, rollout_id, step, doubted)

    async def doubt(self, tenant: str, doubt: Doubt) -> None:
        """See `Rollouts`."""
        async with self._storage.transaction() as transaction:
            await next_revision(transaction.connection)
            await keep_doubt(transaction.connection, tenant, doubt)

    async def seconds(self, tenant: str, rollout_id: str) -> Sequence[float]:
        """See `Rollouts`."""
        async with self._storage.reading() as connection:
            return await seconds_of(connection, tenant, rollout_id)

    async def pair(self, tenant: str, rollout_id: str, pair: Pair) -> None:
        """See `Rollouts`."""
        async with self._storage.transaction() as transaction:
            known = await _find(transaction.connection, tenant, rollout_id)
            if known is not None and known.state is RolloutState.SHADOW:
                await add_pair(transaction.connection, tenant, rollout_id, pair)

    async def pairs(self, tenant: str, rollout_id: str) -> Pairs:
        """See `Rollouts`."""
        async with self._storage.reading() as connection:
            return await pairs_of(connection, tenant, rollout_id)

    async def served(self, now: datetime, drain: float) -> ServedModels:
        """See `Rollouts`."""
        models = sa.select(rollouts.c.content).where(rollouts.c.kind == RolloutKind.MODEL.value)
        async with self._storage.reading() as connection:
            ones = [
                _JSON.validate_python(row) for row in (await connection.execute(models)).scalars()
            ]
            named = (await connection.execute(sa.select(champions.c.release))).scalars().all()
        return served_models(ones, named, now, drain)

    async def gate_said(self, tenant: str, rollout_id: str, said: Decision | Approval) -> None:
        """See `Rollouts`."""
        async with self._storage.transaction() as transaction:
            connection = transaction.connection
            await next_revision(connection)
            known = await _find(connection, tenant, rollout_id)
            if known is not None and not known.is_over:
                await keep_word(connection, tenant, rollout_id, said)

    async def gate(self, tenant: str, rollout_id: str) -> GateWord:
        """See `Rollouts`."""
        async with self._storage.reading() as connection:
            return await word_of(connection, tenant, rollout_id)

    async def wish(self, wish: Wish) -> bool:
        """See `Rollouts`."""
        async with self._storage.transaction() as transaction:
            await next_revision(transaction.connection)
            return await keep_wish(transaction.connection, wish)

    async def wishes(self) -> Sequence[Wish]:
        """See `Rollouts`."""
        async with self._storage.reading() as connection:
            return await waiting(connection)

    async def fulfilled(self, wish: Wish) -> None:
        """See `Rollouts`."""
        async with self._storage.transaction() as transaction:
            await waits_no_more(transaction.connection, wish)

    async def _read(self, query: sa.Select[Any]) -> Sequence[Rollout]:
        async with self._storage.reading() as connection:
            found = (await connection.execute(query)).scalars()
            return [_JSON.validate_python(content) for content in found]


async def _refuse_second(connection: AsyncConnection, rollout: Rollout) -> None:
    same = (
        rollouts.c.tenant == rollout.tenant,
        rollouts.c.kind == rollout.kind.value,
        rollouts.c.name == rollout.name,
        sa.not_(rollouts.c.is_over),
    )
    other = await connection.scalar(sa.select(rollouts.c.rollout_id).where(*same))
    if other is not None:
        raise Conflict(f"{other} runs for {rollout.name!r}: wait for its end, or abort it")
    shared = (
        experiments.c.tenant == rollout.tenant,
        experiments.c.workload == rollout.workload,
        experiments.c.stop_time.is_(None),
    )
    other = await connection.scalar(sa.select(experiments.c.experiment_id).where(*shared))
    if other is not None:
        raise Conflict(f"{other!r} shares the traffic of {rollout.workload!r}: stop it first")


async def _share(connection: AsyncConnection, rollout: Rollout, revision: int) -> None:
    """The weights of now; the end of the rollout is the experiment's."""
    here = (
        experiments.c.tenant == rollout.tenant,
        experiments.c.experiment_id == rollout.rollout_id,
    )
    row = row_of(rollout.tenant, rollout.sticks(), revision)
    changed = {name: row[name] for name in ("content", "revision")}
    changed["stop_time"] = rollout.since.timestamp() if rollout.is_over else None
    await connection.execute(sa.update(experiments).where(*here).values(changed))


async def _put_in_force(
    transaction: Transaction, before: Rollout, after: Rollout, revision: int
) -> None:
    pointed = replaced(before, after)
    if pointed is None:
        return
    old, new = pointed
    if before.kind is RolloutKind.PROMPT:
        await _point(transaction, after, old, new, revision)
        return
    connection = transaction.connection
    now = await _champion(connection, before.tenant, before.name) or before.name
    if now != old:
        raise Conflict(f"{before.name!r} is {now!r} by now: nothing is replaced")
    row = {
        "tenant": before.tenant,
        "name": before.name,
        "release": new,
        "rollout_id": before.rollout_id,
        "revision": revision,
    }
    kept = upsert(connection, champions, ["release", "rollout_id", "revision"])
    await connection.execute(kept, row)


async def _point(
    transaction: Transaction, rollout: Rollout, old: str, new: str, revision: int
) -> None:
    """The prompt's label, with its own event."""
    key = Key(rollout.tenant, Kind.PROMPT, rollout.name)
    held = await holdings_of(transaction.connection, key)
    shelf = DatabaseShelf(transaction, key, held, revision)
    author = rollout.changes[-1].author or rollout.author
    move = Promotion(new, PRODUCTION, rollout.rollout_id, author, int(old))
    await promote(key, shelf, PRODUCTION, move)


def _say(transaction: Transaction, before: Rollout, after: Rollout) -> None:
    tenant, told = after.tenant, wire.rollout(after)
    transaction.say(
        events_pb2.RolloutChanged(rollout=told), tenant=tenant, entity_id=after.rollout_id
    )
    if after.state is RolloutState.PROMOTED:
        promoted = events_pb2.ModelPromoted(rollout=told, previous=after.champion)
        transaction.say(promoted, tenant=tenant, entity_id=after.rollout_id)
    if after.state is RolloutState.ROLLED_BACK:
        was_promoted = before.state is RolloutState.PROMOTED
        back = events_pb2.ModelRolledBack(rollout=told, was_promoted=was_promoted)
        transaction.say(back, tenant=tenant, entity_id=after.rollout_id)


async def _find(connection: AsyncConnection, tenant: str, rollout_id: str) -> Rollout | None:
    query = sa.select(rollouts.c.content).where(*_is(rollouts, tenant, rollout_id))
    content = await connection.scalar(query)
    return None if content is None else _JSON.validate_python(content)


async def _champion(connection: AsyncConnection, tenant: str, name: str) -> str:
    here = champions.c.tenant == tenant, champions.c.name == name
    return str(await connection.scalar(sa.select(champions.c.release).where(*here)) or "")


def _is(table: sa.Table, tenant: str, rollout_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.tenant == tenant, table.c.rollout_id == rollout_id


def _row(rollout: Rollout, revision: int) -> dict[str, Any]:
    return {
        "kind": rollout.kind.value,
        "name": rollout.name,
        "number": rollout.number,
        "is_over": rollout.is_over,
        "content": _JSON.dump_python(rollout, mode="json"),
        "revision": revision,
    }
