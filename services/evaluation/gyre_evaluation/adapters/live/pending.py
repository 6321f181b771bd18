"""Answers that wait for their scores, and what judges may still cost today."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from gyre.inference.v1.events_pb2 import AnswerRecord
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_evaluation.adapters.live.sums import add, make
from gyre_evaluation.adapters.live.tables import judged, pending
from gyre_evaluation.ports import Stage, Waiting
from gyre_evaluation.wire.live import live_answer

DAY = 86_400


async def wait(
    connection: AsyncConnection, tenant: str, record: AnswerRecord, status: str, due: float
) -> None:
    row = {
        "tenant": tenant,
        "answer_id": record.answer_id,
        "stage": Stage.RULES,
        "record": record.SerializeToString(),
        "status": status,
        "attempts": 0,
        "due_time": due,
    }
    await make(connection, pending, row)


async def are_due(connection: AsyncConnection, now: float) -> bool:
    query = sa.select(pending.c.answer_id).where(pending.c.due_time <= now).limit(1)
    return (await connection.execute(query)).first() is not None


async def claim(connection: AsyncConnection, now: float, limit: int, lease: float) -> list[Waiting]:
    """Longest due first; nobody else gets them before the lease is over."""
    query = sa.select(pending).where(pending.c.due_time <= now).order_by(pending.c.due_time)
    rows = (await connection.execute(query.limit(limit).with_for_update(skip_locked=True))).all()
    claimed = [_waiting(row) for row in rows]
    for one in claimed:
        held = sa.update(pending).where(_is(one)).values(due_time=now + lease)
        await connection.execute(held)
    return claimed


async def postpone(
    connection: AsyncConnection, waiting: Waiting, stage: Stage, attempts: int, due: float
) -> None:
    change = {"stage": stage, "attempts": attempts, "due_time": due}
    await connection.execute(sa.update(pending).where(_is(waiting)).values(**change))


async def take(connection: AsyncConnection, waiting: Waiting) -> bool:
    """Ends its wait; False where another process was first."""
    gone = await connection.execute(sa.delete(pending).where(_is(waiting)))
    return bool(gone.rowcount)


async def spend(connection: AsyncConnection, tenant: str, now: float, budget: int) -> bool:
    """One judgement of today's budget; False where it is used up."""
    day = int(now) // DAY
    which = sa.and_(judged.c.tenant == tenant, judged.c.day == day)
    spent = (await connection.execute(sa.select(judged.c.spent).where(which))).scalar() or 0
    if spent >= budget:
        return False
    await add(connection, judged, [{"tenant": tenant, "day": day, "spent": 1}], sums=["spent"])
    return True


def _waiting(row: Any) -> Waiting:
    record = AnswerRecord.FromString(row.record)
    answer = live_answer(record, row.tenant, row.status)
    return Waiting(answer, Stage(row.stage), row.attempts)


def _is(waiting: Waiting) -> sa.ColumnElement[bool]:
    answer = waiting.answer
    return sa.and_(
        pending.c.tenant == answer.tenant,
        pending.c.answer_id == answer.answer_id,
        pending.c.stage == waiting.stage,
    )
