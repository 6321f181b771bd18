"""Items of the review queue: made once, with all the reasons why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from gyre.feedback.v1 import feedback_pb2 as pb
from gyre_runtime.database.transaction import insert_ignore
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_feedback.adapters.tables import places, review_items
from gyre_feedback.domain.answers import AnswerCame
from gyre_feedback.domain.reviews import PRIORITY, ReviewReason
from gyre_feedback.wire import answer_from, answer_to


async def put_item(
    connection: AsyncConnection,
    tenant: str,
    came: AnswerCame,
    reason: ReviewReason,
    wanted: int,
    now: float,
) -> str:
    """Makes the item, or adds the reason to the one that is there; its id."""
    item_id = came.answer.answer_id
    row = new_item(tenant, came, reason, wanted, now)
    made = await connection.execute(insert_ignore(connection, review_items), row)
    if not made.rowcount:
        await add_reason(connection, tenant, item_id, reason)
    return item_id


def new_item(
    tenant: str, came: AnswerCame, reason: ReviewReason, wanted: int, now: float
) -> dict[str, Any]:
    """The same answer is the same item."""
    return {
        "tenant": tenant,
        "item_id": came.answer.answer_id,
        "answer_id": came.answer.answer_id,
        "reasons": [reason],
        "question": came.question,
        "text": came.text,
        "about": answer_to(came.answer).SerializeToString(deterministic=True),
        "wanted": wanted,
        "review_count": 0,
        "priority": PRIORITY[reason],
        "add_time": now,
    }


async def put_up(
    connection: AsyncConnection,
    reasons: Mapping[tuple[str, str], ReviewReason],
    wanted: int,
    now: float,
) -> None:
    """Many at once: those that are there get the reason, the others are made."""
    names = list(reasons)
    key = sa.tuple_(review_items.c.tenant, review_items.c.item_id)
    query = sa.select(review_items.c.tenant, review_items.c.item_id, review_items.c.reasons)
    there = {
        (row.tenant, row.item_id): row.reasons
        for row in await connection.execute(query.where(key.in_(names)))
    }
    for name, known in there.items():
        if reasons[name] not in known:
            await add_reason(connection, *name, reasons[name])
    await _make(connection, [name for name in names if name not in there], reasons, wanted, now)


async def _make(
    connection: AsyncConnection,
    names: Sequence[tuple[str, str]],
    reasons: Mapping[tuple[str, str], ReviewReason],
    wanted: int,
    now: float,
) -> None:
    key = sa.tuple_(places.c.tenant, places.c.place)
    query = sa.select(places).where(key.in_(list(names)), places.c.about.is_not(None))
    rows = []
    for row in await connection.execute(query):
        came = came_of(row)
        rows.append(new_item(row.tenant, came, reasons[row.tenant, row.place], wanted, now))
    if rows:
        await connection.execute(insert_ignore(connection, review_items), rows)


def came_of(row: Any) -> AnswerCame:
    """Of a row of `places` whose answer has come."""
    answer = answer_from(pb.JudgedAnswer.FromString(row.about))
    return AnswerCame(answer, row.question, row.text)


async def add_reason(
    connection: AsyncConnection, tenant: str, item_id: str, reason: ReviewReason
) -> None:
    """To an item that is there; twice is once."""
    here = review_items.c.tenant == tenant, review_items.c.item_id == item_id
    query = sa.select(review_items.c.reasons, review_items.c.priority).where(*here)
    row = (await connection.execute(query.with_for_update())).one()
    if reason not in row.reasons:
        values = {
            "reasons": [*row.reasons, reason],
            "priority": max(row.priority, PRIORITY[reason]),
        }
        await connection.execute(review_items.update().where(*here).values(**values))
