"""What counts for things that are scored, in one pass over their votes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_feedback.adapters.tables import votes
from gyre_feedback.domain.scores import Entity, EntityKind, Tally
from gyre_feedback.domain.suspicion import Recent

_NAMES = (votes.c.tenant, votes.c.kind, votes.c.entity_id, votes.c.metric)


async def standing(
    connection: AsyncConnection, entities: Sequence[Entity], old: float, since: float
) -> Mapping[Entity, tuple[Tally, Recent]]:
    """Accounts first seen after `old` are young; `since` begins the window of what is recent."""
    found = dict.fromkeys(entities, (Tally(), Recent()))
    if entities:
        names = [(one.tenant, one.kind, one.entity_id, one.metric) for one in entities]
        query = _standing(names)
        for row in await connection.execute(query, {"old": old, "since": since}):
            entity = Entity(row.tenant, EntityKind(row.kind), row.entity_id, row.metric)
            found[entity] = (_tally(row), Recent(row.recent, row.young_bad, row.young_good))
    return found


def _standing(names: Sequence[tuple[str, str, str, str]]) -> sa.Select[Any]:
    mean = votes.c.total / votes.c.judgements
    young = votes.c.first_time > sa.bindparam("old")
    recent = votes.c.last_time > sa.bindparam("since")
    bad, good = mean < 0.5, mean >= 0.5
    return (
        sa.select(
            *_NAMES,
            sa.func.sum(votes.c.judgements).label("judgements"),
            sa.func.sum(votes.c.total).label("total"),
            _sum(sa.not_(young), 1).label("old"),
            _sum(sa.not_(young), mean).label("old_votes"),
            _sum(young, 1).label("young"),
            _sum(young, mean).label("young_votes"),
            _sum(recent, 1).label("recent"),
            _sum(sa.and_(young, recent, bad), 1).label("young_bad"),
            _sum(sa.and_(young, recent, good), 1).label("young_good"),
        )
        .where(sa.tuple_(*_NAMES).in_(names), votes.c.judgements > 0)
        .group_by(*_NAMES)
    )


def _tally(row: Any) -> Tally:
    """PostgreSQL adds big integers up to decimals."""
    return Tally(
        int(row.judgements),
        float(row.total),
        int(row.old),
        float(row.old_votes),
        int(row.young),
        float(row.young_votes),
    )


def _sum(condition: sa.ColumnElement[bool], value: Any) -> sa.ColumnElement[Any]:
    return sa.func.sum(sa.case((condition, value), else_=0))
