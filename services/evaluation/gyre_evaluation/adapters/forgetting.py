"""A person is forgotten: answers, scores, what drift compares, alerts, examples and runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import sqlalchemy as sa
from gyre.evaluation.v1.events_pb2 import AlertAcknowledged, AlertRaised, EvaluationsForgotten
from gyre_runtime.database import Database, Transaction
from gyre_runtime.database.tombstones import Tombstones
from gyre_runtime.database.transaction import insert_ignore
from gyre_runtime.erasing import Eraser, Erasure, says
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_evaluation.adapters.live.tables import activity, alerts, observations, pending, scores
from gyre_evaluation.adapters.offline.tables import (
    answer_cache,
    examples,
    items,
    recorded_answers,
    runs,
)
from gyre_evaluation.adapters.tables import metadata
from gyre_evaluation.domain.abuse.watching import MINUTE

AT_ONCE = 200

people = sa.Table(
    "answer_people",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("answer_id", sa.String(64), primary_key=True),
    sa.Column("mark", sa.String(64), nullable=False),
    sa.Column("time", sa.Float, nullable=False),
    sa.Index("answer_people_mark", "tenant", "mark"),
    sa.Index("answer_people_time", "time"),
)


class Forgetting:
    """Whose answers are kept; inside of the writers' transactions."""

    def __init__(self, database: Database) -> None:
        self._tombstones = Tombstones(database)

    async def note(
        self, connection: AsyncConnection, tenant: str, answer_id: str, end_user: str, time: float
    ) -> bool:
        """False where it is an answer to somebody who was to be forgotten: nothing is kept of it.
        May be repeated."""
        if not end_user:
            return True
        if time <= await self._tombstones.until(connection, tenant, end_user):
            return False
        mark = await self._tombstones.mark(connection, tenant, end_user)
        row = {"tenant": tenant, "answer_id": answer_id, "mark": mark, "time": time}
        await connection.execute(insert_ignore(connection, people), row)
        return True

    async def answers(self, connection: AsyncConnection, wanted: Erasure) -> list[str]:
        """Their ids."""
        mark = await self._tombstones.mark(connection, wanted.tenant, wanted.subject)
        mine = people.c.tenant == wanted.tenant, people.c.mark == mark
        query = sa.select(people.c.answer_id).where(*mine, people.c.time <= wanted.until)
        return sorted(await connection.scalars(query))


def eraser(database: Database, failed: Callable[[Exception], None]) -> Eraser:
    forgetting = Forgetting(database)

    async def erase(transaction: Transaction, wanted: Erasure) -> Mapping[str, int]:
        connection, counts = transaction.connection, Counter[str]()
        named = await forgetting.answers(connection, wanted)
        for start in range(0, len(named), AT_ONCE):
            counts.update(await _answers(connection, wanted.tenant, named[start : start + AT_ONCE]))
        counts.update(await _watched(connection, wanted))
        if counts["examples"]:  # answers to them: nobody knows which of the tenant's
            cached = sa.delete(answer_cache).where(answer_cache.c.tenant == wanted.tenant)
            counts["cached_answers"] += (await connection.execute(cached)).rowcount
        return counts

    return Eraser(
        database,
        erase,
        says(EvaluationsForgotten),
        {AlertRaised: _names, AlertAcknowledged: _names},
        failed=failed,
    )


async def _answers(
    connection: AsyncConnection, tenant: str, ids: Sequence[str]
) -> Mapping[str, int]:
    """All that is kept of these."""
    tables = {
        "recorded_answers": recorded_answers,
        "waiting_answers": pending,
        "scores": scores,
        "observations": observations,
    }
    counts: dict[str, int] = {}
    for kind, table in tables.items():
        mine = table.c.tenant == tenant, table.c.answer_id.in_(ids)
        counts[kind] = (await connection.execute(sa.delete(table).where(*mine))).rowcount
    counts |= await _examples(connection, tenant, ids)
    of = people.c.tenant == tenant, people.c.answer_id.in_(ids)
    await connection.execute(sa.delete(people).where(*of))
    return counts


async def _examples(
    connection: AsyncConnection, tenant: str, ids: Sequence[str]
) -> Mapping[str, int]:
    """Examples made of these answers, of sealed versions, too, and what runs answered to them."""
    made = examples.c.tenant == tenant, examples.c.body["origin"].as_string().in_(ids)
    columns = (examples.c.name, examples.c.version, examples.c.example_id)
    found = (await connection.execute(sa.select(*columns).where(*made))).all()
    answered = 0
    for row in found:
        on = runs.c.tenant == tenant, runs.c.dataset == row.name
        asked = sa.select(runs.c.run_id).where(*on, runs.c.dataset_version == row.version)
        mine = items.c.run_id.in_(asked), items.c.example_id == row.example_id
        answered += (await connection.execute(sa.delete(items).where(*mine))).rowcount
    await connection.execute(sa.delete(examples).where(*made))
    return {"examples": len(found), "run_answers": answered}


async def _watched(connection: AsyncConnection, wanted: Erasure) -> Mapping[str, int]:
    """What the watch over misuse noted of the person; an alert stays, and names nobody."""
    mine = activity.c.tenant == wanted.tenant, activity.c.end_user == wanted.subject
    minutes = sa.delete(activity).where(*mine, activity.c.minute <= int(wanted.until) // MINUTE)
    noted = await connection.execute(minutes)
    about = (
        alerts.c.tenant == wanted.tenant,
        alerts.c.body["end_user"].as_string() == wanted.subject,
        alerts.c.raise_time <= wanted.until,
    )
    raised = (
        await connection.execute(sa.select(alerts.c.alert_id, alerts.c.body).where(*about))
    ).all()
    for row in raised:
        one = sa.update(alerts).where(alerts.c.alert_id == row.alert_id)
        await connection.execute(one.values(body={**row.body, "end_user": ""}))
    return {"activity": noted.rowcount, "alerts": len(raised)}


async def _names(
    _: AsyncConnection, event: AlertRaised | AlertAcknowledged, wanted: Erasure
) -> bool:
    return bool(event.end_user == wanted.subject)
