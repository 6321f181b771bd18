"""Recorded answers in the service's database, for as long as they may become examples."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from gyre_runtime.database import Database
from gyre_runtime.database.transaction import insert_ignore

from gyre_evaluation.adapters.forgetting import Forgetting, people
from gyre_evaluation.adapters.offline.tables import recorded_answers
from gyre_evaluation.domain.metrics.case import Cited
from gyre_evaluation.domain.recorded import AnswerFilter, RecordedAnswer

COLUMNS = ("collection", "prompt_name", "prompt_version", "model", "language")


class DatabaseRecordedAnswers:
    """`RecordedAnswers` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._forgetting = Forgetting(database)

    async def keep(self, tenant: str, answer: RecordedAnswer, end_user: str) -> bool:
        body = {**asdict(answer), "time": answer.time.isoformat()}
        row = {
            "tenant": tenant,
            "answer_id": answer.answer_id,
            "time": answer.time.timestamp(),
            "refused": answer.refused,
            "body": body,
            **{name: getattr(answer, name) for name in COLUMNS},
        }
        # Beside the handler's own transaction: a repetition finds the row.
        async with self._database.transaction(aside=True) as transaction:
            connection = transaction.connection
            whose = answer.answer_id, end_user, answer.time.timestamp()
            if not await self._forgetting.note(connection, tenant, *whose):
                return False
            await connection.execute(insert_ignore(connection, recorded_answers), row)
        return True

    async def note(self, tenant: str, answer_id: str, end_user: str, time: datetime) -> bool:
        if not end_user:
            return True
        async with self._database.transaction(aside=True) as transaction:
            whose = answer_id, end_user, time.timestamp()
            return await self._forgetting.note(transaction.connection, tenant, *whose)

    async def find(self, tenant: str, wanted: AnswerFilter) -> list[RecordedAnswer]:
        table = recorded_answers.c
        where = [table.tenant == tenant]
        where += [table[name] == value for name in COLUMNS if (value := getattr(wanted, name))]
        if wanted.start:
            where.append(table.time >= wanted.start.timestamp())
        if wanted.end:
            where.append(table.time < wanted.end.timestamp())
        if wanted.refused is not None:
            where.append(table.refused == wanted.refused)
        query = sa.select(table.body).where(*where).order_by(table.time.desc()).limit(wanted.limit)
        async with self._database.reading() as connection:
            return [_answer(body) for body in (await connection.scalars(query)).all()]

    async def forget(self, seconds: float) -> None:
        """Drops answers that were asked for longer ago."""
        old = recorded_answers.c.time < time.time() - seconds
        async with self._database.transaction(aside=True) as transaction:
            await transaction.connection.execute(sa.delete(recorded_answers).where(old))
            gone = people.c.time < time.time() - seconds
            await transaction.connection.execute(sa.delete(people).where(gone))


def _answer(body: dict[str, Any]) -> RecordedAnswer:
    fields = {
        **body,
        "time": datetime.fromisoformat(body["time"]),
        "chunk_ids": tuple(body["chunk_ids"]),
        "messages": tuple((role, content) for role, content in body.get("messages", ())),
        "citations": tuple(Cited(**one) for one in body.get("citations", ())),
    }
    return RecordedAnswer(**fields)
