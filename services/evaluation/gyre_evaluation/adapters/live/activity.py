"""Who asks how much, and how often at the assistant's expense."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_evaluation.adapters.live.sums import add
from gyre_evaluation.adapters.live.tables import activity
from gyre_evaluation.domain.abuse.watching import MINUTE, AbuseRules, Activity, Asked
from gyre_evaluation.domain.alerts import MOST_EXAMPLES


async def count(connection: AsyncConnection, asked: Asked, rules: AbuseRules) -> Activity:
    """Counts the request, then says what its principal did lately."""
    await add(connection, activity, [_row(asked, "")], sums=["requests", "attempts"])
    if asked.attempt is not None:
        await _note_attempt(connection, asked)
    requests, _ = await _sums(connection, asked, "", rules.volume_period)
    lately, attempts = 0, 0
    if asked.attempt is not None:  # nobody asks otherwise
        lately, attempts = await _sums(connection, asked, "", rules.period)
    user, answers = await _attempts(connection, asked, rules.period)
    return Activity(
        user_attempts=user,
        principal_attempts=attempts,
        principal_requests=lately,
        answer_ids=answers,
        requests=requests,
        usual=await _usual(connection, asked, rules) if requests >= rules.volume_least else None,
    )


async def forget(connection: AsyncConnection, before: float) -> None:
    """Minutes that began before this time."""
    old = activity.c.minute < int(before) // MINUTE
    await connection.execute(sa.delete(activity).where(old))


async def _note_attempt(connection: AsyncConnection, asked: Asked) -> None:
    row = _row(asked, asked.end_user or _NOBODY)
    known = (await connection.execute(sa.select(activity.c.answer_ids).where(_is(row)))).scalar()
    answers = [*(known or []), asked.answer_id][-MOST_EXAMPLES:]
    row |= {"answer_ids": answers}
    await add(connection, activity, [row], sums=["requests", "attempts"], last=["answer_ids"])


# Attempts of callers that name no end user: their own row, beside the principal's.
_NOBODY = "-"


async def _attempts(
    connection: AsyncConnection, asked: Asked, period: timedelta
) -> tuple[int, tuple[str, ...]]:
    if asked.attempt is None:
        return 0, ()
    where = _since(asked, asked.end_user or _NOBODY, period)
    query = sa.select(activity.c.attempts, activity.c.answer_ids).where(where)
    rows = (await connection.execute(query.order_by(activity.c.minute))).all()
    answers = [one for row in rows for one in row.answer_ids]
    return sum(row.attempts for row in rows), tuple(answers[-MOST_EXAMPLES:])


async def _sums(
    connection: AsyncConnection, asked: Asked, end_user: str, period: timedelta
) -> tuple[int, int]:
    columns = (sa.func.sum(activity.c.requests), sa.func.sum(activity.c.attempts))
    query = sa.select(*columns).where(_since(asked, end_user, period))
    requests, attempts = (await connection.execute(query)).one()
    return int(requests or 0), int(attempts or 0)


async def _usual(connection: AsyncConnection, asked: Asked, rules: AbuseRules) -> float | None:
    """Mean of the periods in which the principal asked, the one that runs left out; None where
    these are too few."""
    width = int(rules.volume_period.total_seconds()) // MINUTE
    until = asked.minute - width
    where = sa.and_(_since(asked, "", rules.history), activity.c.minute <= until)
    query = sa.select(activity.c.minute, activity.c.requests).where(where)
    periods: dict[int, int] = {}
    for minute, requests in await connection.execute(query):
        place = (until - minute) // width
        periods[place] = periods.get(place, 0) + requests
    if len(periods) < rules.volume_periods:
        return None
    return sum(periods.values()) / len(periods)


def _since(asked: Asked, end_user: str, period: timedelta) -> sa.ColumnElement[bool]:
    first = asked.minute - int(period.total_seconds()) // MINUTE + 1
    return sa.and_(
        activity.c.tenant == asked.tenant,
        activity.c.principal == asked.principal,
        activity.c.end_user == end_user,
        activity.c.minute.between(first, asked.minute),
    )


def _row(asked: Asked, end_user: str) -> dict[str, Any]:
    return {
        "tenant": asked.tenant,
        "principal": asked.principal,
        "end_user": end_user,
        "minute": asked.minute,
        "requests": 1,
        "attempts": int(asked.attempt is not None),
        "answer_ids": [],
    }


def _is(row: dict[str, Any]) -> sa.ColumnElement[bool]:
    keys = ("tenant", "principal", "end_user", "minute")
    return sa.and_(*(activity.c[key] == row[key] for key in keys))
