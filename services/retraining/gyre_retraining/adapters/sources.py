"""Sources of datasets in the service's database, SQLite or PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import sqlalchemy as sa
from gyre_runtime.database import Database
from gyre_runtime.database.transaction import insert_ignore
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_retraining.adapters import source_erasure as erasure
from gyre_retraining.adapters.source_rows import (
    Row,
    answer_of,
    answer_row,
    change_of,
    chunk_of,
    chunk_row,
    judgement_of,
    judgement_row,
    review_of,
    review_row,
    shown_rows,
    state_row,
)
from gyre_retraining.adapters.source_tables import (
    answers,
    chunks,
    judgements,
    reviews,
    shown,
    states,
)
from gyre_retraining.domain.settling import latest, settle
from gyre_retraining.domain.sources import (
    ChunkText,
    Judgement,
    RecordedAnswer,
    Review,
    Snapshot,
    StateChange,
)


class DatabaseSourceStore:
    """`SourceStore`, and the `JudgementCounts` of triggers."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def put_answer(self, tenant: str, answer: RecordedAnswer) -> None:
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            await erasure.take_turn(connection, tenant, alone=False)
            how = await erasure.of_answer(connection, tenant, answer)
            row = answer_row(tenant, how.answer(answer), self._clock())
            await connection.execute(insert_ignore(connection, answers), row)
            if rows := shown_rows(tenant, answer):
                await connection.execute(insert_ignore(connection, shown), rows)
            await erasure.silence(connection, tenant, [answer.answer_id], how)

    async def put_judgement(self, tenant: str, judgement: Judgement) -> None:
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            await erasure.take_turn(connection, tenant, alone=False)
            how = await erasure.of_judgement(connection, tenant, judgement)
            row = judgement_row(tenant, how.judgement(judgement), self._clock())
            await connection.execute(insert_ignore(connection, judgements), row)

    async def put_state(self, tenant: str, change: StateChange) -> None:
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            row = state_row(tenant, change, self._clock())
            await connection.execute(insert_ignore(connection, states), row)

    async def put_review(self, tenant: str, review: Review) -> None:
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            await erasure.take_turn(connection, tenant, alone=False)
            how = await erasure.of_answer_id(connection, tenant, review.answer_id)
            row = review_row(tenant, how.review(review), self._clock())
            await connection.execute(insert_ignore(connection, reviews), row)

    async def put_chunks(self, tenant: str, given: Sequence[ChunkText]) -> None:
        async with self._database.transaction() as transaction:
            connection, now = transaction.connection, self._clock()
            await erasure.take_turn(connection, tenant, alone=False)
            kept = await erasure.of_chunks(connection, tenant, given)
            if rows := [chunk_row(tenant, one, now) for one in kept]:
                await connection.execute(insert_ignore(connection, chunks), rows)

    async def erase_user(self, tenant: str, end_user: str, moment: float) -> int:
        async with self._database.transaction() as transaction:
            await erasure.take_turn(transaction.connection, tenant, alone=True)
            return await erasure.erase_user(transaction.connection, tenant, end_user, moment)

    async def erase_document(self, tenant: str, document_id: str, revision: int) -> int:
        async with self._database.transaction() as transaction:
            await erasure.take_turn(transaction.connection, tenant, alone=True)
            return await erasure.erase_document(
                transaction.connection, tenant, document_id, revision
            )

    async def snapshot(self, tenant: str, as_of: float) -> Snapshot:
        async with self._database.reading() as connection:
            found = await _bodies(connection, answers, tenant, as_of, "answer_id")
            said = await _bodies(connection, judgements, tenant, as_of, "principal")
            reviewed = await _bodies(connection, reviews, tenant, as_of, "item_id")
            texts = await _bodies(connection, chunks, tenant, as_of, "chunk_id")
            query = sa.select(states).where(_known(states, tenant, as_of))
            changes = [change_of(row) for row in await connection.execute(query)]
        return Snapshot(
            tenant=tenant,
            as_of=as_of,
            answers=tuple(sorted(map(answer_of, found), key=lambda one: one.answer_id)),
            judgements=settle(map(judgement_of, said), changes),
            reviews=latest(map(review_of, reviewed)),
            chunks=tuple(sorted(map(chunk_of, texts), key=lambda one: one.chunk_id)),
        )

    async def count(self, tenant: str, metrics: frozenset[str]) -> int:
        said = sa.select(judgements.c.principal, judgements.c.feedback_id).distinct()
        said = said.where(judgements.c.tenant == tenant)
        if metrics:
            said = said.where(judgements.c.metric.in_(sorted(metrics)))
        async with self._database.reading() as connection:
            query = sa.select(sa.func.count()).select_from(said.subquery())
            return int(await connection.scalar(query) or 0)

    async def tenants(self) -> list[str]:
        query = sa.select(judgements.c.tenant).distinct().order_by(judgements.c.tenant)
        async with self._database.reading() as connection:
            return list((await connection.execute(query)).scalars())


def _known(table: sa.Table, tenant: str, as_of: float) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.tenant == tenant, table.c.known_time <= as_of)


async def _bodies(
    connection: AsyncConnection, table: sa.Table, tenant: str, as_of: float, order: str
) -> list[Row]:
    query = sa.select(table.c.body).where(_known(table, tenant, as_of)).order_by(table.c[order])
    return list((await connection.execute(query)).scalars())
