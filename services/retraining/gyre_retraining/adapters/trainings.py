"""Trainings and decisions in the service's database; what is said of them is in the same commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from gyre_runtime.database import Database
from gyre_runtime.database.transaction import Transaction, upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_retraining.adapters.rows import (
    changing,
    decided,
    decision_from,
    decision_row,
    training_from,
    training_row,
)
from gyre_retraining.adapters.tables import decisions, trainings
from gyre_retraining.domain.models import ModelVersion
from gyre_retraining.domain.trainings import Training, TrainingState, TrainingUnknown
from gyre_retraining.domain.triggers import Decision, History, Wish, judge
from gyre_retraining.ports import Clock, News
from gyre_retraining.wire.trainings import requested, said_of

OPEN = [state.value for state in TrainingState if not state.ended]
STOPPABLE = [state.value for state in TrainingState if state.can_be_cancelled]

LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtext('gyre.training_decisions'))")


def now() -> datetime:
    return datetime.now(UTC)


class DatabaseTrainings:
    """`Trainings` on SQLite or PostgreSQL."""

    def __init__(self, database: Database, clock: Clock = now) -> None:
        self._database = database
        self._clock = clock

    async def decide(self, wishes: Sequence[Wish]) -> list[Decision]:
        async with self._database.transaction() as transaction:
            if transaction.connection.dialect.name == "postgresql":
                # Cool-down and budget look at other rows: two decisions must not pass each other.
                await transaction.connection.execute(LOCK)
            return [await self._decide(transaction, wish) for wish in wishes]

    async def _decide(self, transaction: Transaction, wish: Wish) -> Decision:
        connection, training = transaction.connection, wish.training
        row = (await connection.execute(sa.select(decisions).where(_cause(wish)))).one_or_none()
        if row is not None and row.accepted:
            return decision_from(row, repeated=True)
        moment = self._clock()
        verdict = judge(wish, await self._history(connection, training, moment), moment)
        decision = decided(wish, verdict, moment)
        if row is None or verdict.accepted or row.reason != verdict.reason:
            values = decision_row(decision)
            changed = [name for name in values if name not in ("tenant", "recipe", "cause")]
            await connection.execute(upsert(connection, decisions, changed), values)
        if verdict.accepted:
            await connection.execute(sa.insert(trainings).values(training_row(training)))
            self._say(transaction, training, requested(training), "requested")
        return decision

    async def _history(
        self, connection: AsyncConnection, training: Training, moment: datetime
    ) -> History:
        mine = _mine(training.tenant, training.plan.name)
        week, day = ((moment - timedelta(days=days)).timestamp() for days in (7, 1))
        end = sa.func.coalesce(trainings.c.end_time, moment.timestamp())
        recent = sa.case((end > week, end - trainings.c.start_time), else_=0.0)
        query = sa.select(
            _count(trainings.c.state.in_(OPEN)),
            sa.func.max(trainings.c.request_time),
            _count(trainings.c.request_time > day),
            sa.func.coalesce(sa.func.sum(recent), 0.0),
        ).where(mine)
        running, last, today, seconds = (await connection.execute(query)).one()
        return History(
            running=int(running or 0),
            last=None if last is None else datetime.fromtimestamp(last, UTC),
            day=int(today or 0),
            minutes=float(seconds) / 60,
        )

    async def watermark(self, tenant: str, recipe: str) -> int:
        query = sa.select(sa.func.max(decisions.c.watermark)).where(
            decisions.c.tenant == tenant, decisions.c.recipe == recipe, decisions.c.accepted
        )
        async with self._database.reading() as connection:
            return int(await connection.scalar(query) or 0)

    async def decisions(self, tenant: str, *, limit: int) -> list[Decision]:
        query = sa.select(decisions).where(decisions.c.tenant == tenant)
        query = query.order_by(decisions.c.time.desc(), decisions.c.cause).limit(limit)
        async with self._database.reading() as connection:
            return [decision_from(row) for row in (await connection.execute(query)).all()]

    async def get(self, tenant: str, training_id: str) -> Training:
        where = sa.and_(trainings.c.tenant == tenant, trainings.c.training_id == training_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(sa.select(trainings).where(where))).one_or_none()
        if row is None:
            raise TrainingUnknown(training_id)
        return training_from(row)

    async def page(self, tenant: str, recipe: str, *, limit: int, before: str) -> list[Training]:
        query = sa.select(trainings).where(trainings.c.tenant == tenant)
        if recipe:
            query = query.where(trainings.c.recipe == recipe)
        if before:
            query = query.where(trainings.c.training_id < before)
        # Ids are UUIDv7: the newest one is the greatest one.
        query = query.order_by(trainings.c.training_id.desc()).limit(limit)
        async with self._database.reading() as connection:
            return [training_from(row) for row in (await connection.execute(query)).all()]

    async def cancel(self, tenant: str, training_id: str, detail: str) -> Training:
        await self.get(tenant, training_id)
        one, moment = trainings.c.training_id == training_id, self._clock()
        open_still = sa.and_(one, trainings.c.state.in_(STOPPABLE))
        # Where it had a worker once, there may be a job, which a worker has to stop.
        untouched = trainings.c.state == TrainingState.REQUESTED.value
        nobodys = sa.and_(open_still, untouched, trainings.c.lease_until < moment.timestamp())
        ended = {
            "state": TrainingState.CANCELLED.value,
            "end_time": moment.timestamp(),
            "detail": detail,
            "cancelling": True,
        }
        marked = {"cancelling": True, "detail": detail}
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            done = await connection.execute(sa.update(trainings).where(nobodys).values(ended))
            if done.rowcount:
                row = (await connection.execute(sa.select(trainings).where(one))).one()
                self._tell(transaction, training_from(row), News.FAILED, None)
            else:
                await connection.execute(sa.update(trainings).where(open_still).values(marked))
        return await self.get(tenant, training_id)

    async def claim(self, owner: str, lease: float) -> Training | None:
        moment = self._clock().timestamp()
        free = sa.and_(trainings.c.state.in_(OPEN), trainings.c.lease_until < moment)
        oldest = sa.select(trainings.c.training_id, trainings.c.tenant).where(free)
        async with self._database.reading() as connection:
            query = oldest.order_by(trainings.c.training_id).limit(1)
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        # Another process may have been faster: the same condition is checked by the update.
        where = sa.and_(trainings.c.training_id == row.training_id, free)
        claimed = await self._change(where, {"owner": owner, "lease_until": moment + lease})
        return await self.get(row.tenant, row.training_id) if claimed else None

    async def renew(self, training_id: str, owner: str, lease: float) -> bool:
        until = self._clock().timestamp() + lease
        return await self._change(_held(training_id, owner), {"lease_until": until}) == 1

    async def release(self, training_id: str, owner: str) -> None:
        await self._change(_held(training_id, owner), {"owner": "", "lease_until": 0.0})

    async def keep(
        self,
        training: Training,
        owner: str,
        news: News | None = None,
        model: ModelVersion | None = None,
    ) -> bool:
        values = changing(training)
        if training.state.ended:
            values |= {"owner": "", "lease_until": 0.0}
        update = sa.update(trainings).where(_held(training.training_id, owner)).values(values)
        async with self._database.transaction() as transaction:
            changed = (await transaction.connection.execute(update)).rowcount
            if changed and news is not None:
                self._tell(transaction, training, news, model)
        return bool(changed)

    async def open(self) -> int:
        query = sa.select(sa.func.count()).where(trainings.c.state.in_(OPEN))
        async with self._database.reading() as connection:
            return int(await connection.scalar(query) or 0)

    def _tell(
        self,
        transaction: Transaction,
        training: Training,
        news: News,
        model: ModelVersion | None,
    ) -> None:
        event, cause = said_of(training, news, model, self._clock())
        self._say(transaction, training, event, cause)

    def _say(self, transaction: Transaction, training: Training, event: Any, cause: str) -> None:
        transaction.say(
            event,
            tenant=training.tenant,
            entity_id=training.training_id,
            cause=f"{training.training_id}/{cause}",
        )

    async def _change(self, where: sa.ColumnElement[bool], values: dict[str, Any]) -> int:
        async with self._database.transaction(aside=True) as transaction:
            update = sa.update(trainings).where(where).values(values)
            return int((await transaction.connection.execute(update)).rowcount)


def _mine(tenant: str, recipe: str) -> sa.ColumnElement[bool]:
    return sa.and_(trainings.c.tenant == tenant, trainings.c.recipe == recipe)


def _cause(wish: Wish) -> sa.ColumnElement[bool]:
    training = wish.training
    return sa.and_(
        decisions.c.tenant == training.tenant,
        decisions.c.recipe == training.plan.name,
        decisions.c.cause == training.trigger.cause,
    )


def _held(training_id: str, owner: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        trainings.c.training_id == training_id,
        trainings.c.owner == owner,
        trainings.c.state.in_(OPEN),
    )


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
    return sa.func.sum(sa.case((condition, 1), else_=0))
