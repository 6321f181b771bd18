"""Votes, scores and features in the service's database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from gyre_runtime.database import Database

from gyre_feedback.adapters.batch import DatabaseBatch
from gyre_feedback.adapters.rows import entities_from
from gyre_feedback.adapters.tables import feature_rows, feedback, scores
from gyre_feedback.domain.judgements import State
from gyre_feedback.domain.scores import Entity, EntityKind, Score
from gyre_feedback.domain.suspicion import Watchfulness
from gyre_feedback.ports import Changed, Clock, Counted, FeatureRow

# One batch at a time over all processes; SQLite has one writer anyway.
_LOCK = sa.text("SELECT pg_advisory_xact_lock(7305804402)")


class DatabaseEffects:
    """`Effects` and `FeatureQueue` on SQLite or PostgreSQL. watch: its words say why. reviews: how
    many an item of the review queue wants."""

    def __init__(
        self, database: Database, clock: Clock, watch: Watchfulness, *, reviews: int
    ) -> None:
        self._database, self._clock, self._watch = database, clock, watch
        self._reviews = reviews

    @asynccontextmanager
    async def batch(self, limit: int) -> AsyncIterator[DatabaseBatch]:
        query = (
            sa.select(feedback)
            .where(feedback.c.dirty)
            .order_by(feedback.c.receive_time)
            .limit(limit)
        )
        async with self._database.transaction(aside=True) as transaction:
            if transaction.connection.dialect.name == "postgresql":
                await transaction.connection.execute(_LOCK)
            rows = (await transaction.connection.execute(query.with_for_update())).all()
            changed = [_changed(row) for row in rows]
            yield DatabaseBatch(transaction, changed, self._clock(), self._watch, self._reviews)

    async def aging(self, moment: float, limit: int) -> Sequence[Entity]:
        query = (
            sa.select(scores.c.tenant, scores.c.kind, scores.c.entity_id, scores.c.metric)
            .where(scores.c.young_accounts > 0, scores.c.update_time < moment)
            .order_by(scores.c.update_time)
            .limit(limit)
        )
        async with self._database.reading() as connection:
            return [_entity(row) for row in await connection.execute(query)]

    async def scores(
        self, tenant: str, kind: EntityKind, entity_id: str, metric: str, after: str, limit: int
    ) -> Sequence[tuple[Entity, Score]]:
        query = sa.select(scores).where(scores.c.tenant == tenant, scores.c.kind == kind)
        if entity_id.endswith("/"):
            query = query.where(scores.c.entity_id.startswith(entity_id, autoescape=True))
        elif entity_id:
            query = query.where(scores.c.entity_id == entity_id)
        if metric:
            query = query.where(scores.c.metric == metric)
        if after:
            place = sa.tuple_(scores.c.entity_id, scores.c.metric)
            query = query.where(place > sa.tuple_(*map(sa.literal, after.rsplit(" ", 1))))
        query = query.order_by(scores.c.entity_id, scores.c.metric).limit(limit)
        async with self._database.reading() as connection:
            return [(_entity(row), _score(row)) for row in await connection.execute(query)]

    async def waiting(self, limit: int) -> tuple[Sequence[FeatureRow], str]:
        query = sa.select(feature_rows).order_by(feature_rows.c.position).limit(limit)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        found = [FeatureRow(_entity(row), row.event_time, row.features) for row in rows]
        return found, f"{rows[0].position}-{rows[-1].position}" if rows else ""

    async def written(self, name: str) -> None:
        first, last = map(int, name.split("-"))
        gone = feature_rows.delete().where(feature_rows.c.position.between(first, last))
        async with self._database.transaction(aside=True) as transaction:
            await transaction.connection.execute(gone)


def _entity(row: Any) -> Entity:
    return Entity(row.tenant, EntityKind(row.kind), row.entity_id, row.metric)


def _score(row: Any) -> Score:
    return Score(row.score, row.mean, row.judgements, row.accounts, row.young_accounts, row.votes)


def _changed(row: Any) -> Changed:
    counted = row.counted and Counted(
        row.counted["account"],
        row.counted["goodness"],
        entities_from(row.tenant, row.metric, row.counted["entities"]),
    )
    return Changed(
        key=(row.tenant, row.principal, row.feedback_id),
        account=row.account,
        metric=row.metric,
        place=row.place,
        part=row.part,
        state=State(row.state),
        goodness=row.goodness,
        entities=entities_from(row.tenant, row.metric, row.entities),
        receive_time=row.receive_time,
        vouched=row.vouched,
        cleared=row.cleared,
        fresh=not row.seen,
        counted=counted or None,
    )
