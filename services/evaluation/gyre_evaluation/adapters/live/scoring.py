"""Scores, and the windows that they add up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_evaluation.adapters.live.sums import add, put
from gyre_evaluation.adapters.live.tables import judged, scores, windows
from gyre_evaluation.domain.judgements import Judgement
from gyre_evaluation.domain.windows import (
    Group,
    GroupKind,
    Moments,
    Traits,
    WindowKey,
    sums,
    window_start,
)
from gyre_evaluation.ports import JudgementPlace

DAY = 86_400


async def judgement(connection: AsyncConnection, place: JudgementPlace) -> Judgement:
    query = sa.select(scores).where(_at(place)).with_for_update()
    row = (await connection.execute(query)).one_or_none()
    return Judgement() if row is None else Judgement(row.score, row.revision, not row.counts)


async def keep(
    connection: AsyncConnection,
    place: JudgementPlace,
    known: Judgement,
    now: Judgement,
    window: int,
) -> None:
    """Writes a score and moves the windows from what counted to what counts. window: seconds."""
    row = {
        "tenant": place.tenant,
        "source_id": place.feedback_id,
        "metric": place.metric,
        "answer_id": place.answer_id,
        "score": now.score,
        "revision": now.revision,
        "counts": not now.barred,
        "time": place.time.timestamp(),
        "traits": asdict(place.traits),
    }
    await put(connection, scores, row)
    start = window_start(place.time, window)
    changes = [
        (key, moments if sign > 0 else Moments() - moments)
        for sign, score in ((-1, known.counted), (1, now.counted))
        if score is not None
        for key, moments in sums(start, place.traits, {place.metric: score})
    ]
    await _move(connection, place.tenant, changes)


async def place_of(
    connection: AsyncConnection, tenant: str, source_id: str, metric: str
) -> JudgementPlace | None:
    """Of a score that is known."""
    where = sa.and_(
        scores.c.tenant == tenant, scores.c.source_id == source_id, scores.c.metric == metric
    )
    row = (await connection.execute(sa.select(scores).where(where))).one_or_none()
    if row is None:
        return None
    time = datetime.fromtimestamp(row.time, UTC)
    return JudgementPlace(tenant, source_id, metric, row.answer_id, time, Traits(**row.traits))


async def read_windows(
    connection: AsyncConnection,
    tenant: str,
    period: tuple[int, int],
    kind: GroupKind,
    cut: str,
    metrics: Sequence[str],
) -> list[tuple[WindowKey, Moments]]:
    """cut: key of a slice; empty means any. Ordered by start, value and metric."""
    query = sa.select(windows).where(
        windows.c.tenant == tenant,
        windows.c.start >= period[0],
        windows.c.start < period[1],
        windows.c.kind == kind,
        windows.c.answers > 0,
    )
    if cut:
        query = query.where(windows.c.value.startswith(f"{cut}=", autoescape=True))
    if metrics:
        query = query.where(windows.c.metric.in_(metrics))
    order = windows.c.start, windows.c.value, windows.c.metric
    return [_window(row) for row in await connection.execute(query.order_by(*order))]


async def forget(connection: AsyncConnection, before: float) -> None:
    """Scores and windows of answers that were asked for before."""
    await connection.execute(sa.delete(scores).where(scores.c.time < before))
    await connection.execute(sa.delete(windows).where(windows.c.start < before))
    await connection.execute(sa.delete(judged).where(judged.c.day < before // DAY))


async def _move(
    connection: AsyncConnection, tenant: str, changes: Iterable[tuple[WindowKey, Moments]]
) -> None:
    rows: list[Mapping[str, Any]] = [
        {
            "tenant": tenant,
            "start": int(key.start.timestamp()),
            "kind": key.group.kind,
            "value": key.group.value,
            "metric": key.metric,
            "answers": moments.count,
            "total": moments.total,
            "squares": moments.squares,
        }
        for key, moments in changes
    ]
    await add(connection, windows, rows, sums=["answers", "total", "squares"])


def _window(row: Any) -> tuple[WindowKey, Moments]:
    start = datetime.fromtimestamp(row.start, UTC)
    group = Group(GroupKind(row.kind), row.value)
    return WindowKey(start, group, row.metric), Moments(row.answers, row.total, row.squares)


def _at(place: JudgementPlace) -> sa.ColumnElement[bool]:
    return sa.and_(
        scores.c.tenant == place.tenant,
        scores.c.source_id == place.feedback_id,
        scores.c.metric == place.metric,
    )
