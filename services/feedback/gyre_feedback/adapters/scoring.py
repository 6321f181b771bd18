"""Scores as they are kept, told, and queued as features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from gyre.feedback.v1.events_pb2 import HelpfulnessChanged
from gyre_runtime.database import Transaction
from gyre_runtime.database.transaction import upsert

from gyre_feedback.adapters.tables import chunks, feature_rows
from gyre_feedback.adapters.tables import scores as scores_table
from gyre_feedback.domain.scores import Entity, EntityKind, Score

SAID_FROM = 0.01
_KEY = ("tenant", "kind", "entity_id", "metric")


class ScoreKeeper:
    """Inside one write transaction."""

    def __init__(self, transaction: Transaction, now: float) -> None:
        self._transaction, self._now = transaction, now
        self._connection = transaction.connection

    async def save(self, scores: Mapping[Entity, Score]) -> None:
        """See `Batch.save`."""
        if not scores:
            return
        known = await self._known(list(scores))
        rows = [self._score_row(entity, score, known) for entity, score in scores.items()]
        await self._tell(rows, known)
        changed = [name for name in rows[0] if name not in _KEY]
        await self._connection.execute(upsert(self._connection, scores_table, changed), rows)
        await self._connection.execute(feature_rows.insert(), [self._features(row) for row in rows])

    async def _known(self, entities: Sequence[Entity]) -> Mapping[Entity, Any]:
        names = [(one.tenant, one.kind, one.entity_id, one.metric) for one in entities]
        columns = (
            scores_table.c.tenant,
            scores_table.c.kind,
            scores_table.c.entity_id,
            scores_table.c.metric,
        )
        query = sa.select(scores_table).where(sa.tuple_(*columns).in_(names))
        return {
            Entity(row.tenant, EntityKind(row.kind), row.entity_id, row.metric): row
            for row in await self._connection.execute(query)
        }

    def _score_row(
        self, entity: Entity, score: Score, known: Mapping[Entity, Any]
    ) -> dict[str, Any]:
        before = known.get(entity)
        said = before.said if before else None
        revision = before.revision if before else 0
        moved = abs(score.score - (0.5 if said is None else said)) >= SAID_FROM
        tell = entity.kind is EntityKind.CHUNK and moved
        return {
            "tenant": entity.tenant,
            "kind": entity.kind,
            "entity_id": entity.entity_id,
            "metric": entity.metric,
            "score": score.score,
            "mean": score.mean,
            "judgements": score.judgements,
            "accounts": score.accounts,
            "young_accounts": score.young_accounts,
            "votes": score.votes,
            "update_time": self._now,
            "revision": revision + tell,
            "said": score.score if tell else said,
        }

    async def _tell(self, rows: Sequence[dict[str, Any]], known: Mapping[Entity, Any]) -> None:
        """Of passages whose helpfulness moved."""
        moved = [row for row in rows if row["revision"] > _revision(row, known)]
        if not moved:
            return
        names = [(row["tenant"], row["entity_id"]) for row in moved]
        query = sa.select(chunks).where(sa.tuple_(chunks.c.tenant, chunks.c.chunk_id).in_(names))
        found = {(row.tenant, row.chunk_id): row for row in await self._connection.execute(query)}
        for row in moved:
            chunk = found.get((row["tenant"], row["entity_id"]))
            event = HelpfulnessChanged(
                chunk_id=row["entity_id"],
                document_id=chunk.document_id if chunk else "",
                collection=chunk.collection if chunk else "",
                helpfulness=row["score"],
                votes=row["votes"],
                revision=row["revision"],
                metric=row["metric"],
            )
            self._transaction.say(event, tenant=row["tenant"], entity_id=row["entity_id"])

    def _features(self, row: dict[str, Any]) -> dict[str, Any]:
        names = ("score", "mean", "judgements", "accounts", "votes")
        return {
            **{name: row[name] for name in _KEY},
            "event_time": self._now,
            "features": {name: float(row[name]) for name in names},
        }


def _revision(row: dict[str, Any], known: Mapping[Entity, Any]) -> int:
    entity = Entity(row["tenant"], EntityKind(row["kind"]), row["entity_id"], row["metric"])
    return known[entity].revision if entity in known else 0
