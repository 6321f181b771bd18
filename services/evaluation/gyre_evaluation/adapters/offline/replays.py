"""Replays in the service's database."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from gyre_runtime.database import Database

from gyre_evaluation.adapters.offline.replay_tables import replays
from gyre_evaluation.domain.errors import ReplayUnknown
from gyre_evaluation.domain.recorded import AnswerFilter
from gyre_evaluation.domain.replays import (
    Outcome,
    Replay,
    ReplayState,
    outcome_as_json,
    outcome_from,
)
from gyre_evaluation.domain.runs import target_from

OPEN = [state.value for state in ReplayState if not state.ended]
PLANNED = ("author", "margin", "label", "concurrency", "ignore_cache")
PROGRESS = ("dataset_version", "answers", "left_out", "recorded_run_id", "replayed_run_id")


class DatabaseReplays:
    """`Replays` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self, replay: Replay, creation_key: str) -> Replay:
        mine = sa.and_(replays.c.tenant == replay.tenant, replays.c.creation_key == creation_key)
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            by_key = sa.select(replays.c.replay_id).where(mine)
            known = creation_key and await connection.scalar(by_key)
            if not known:
                await connection.execute(sa.insert(replays).values(_new(replay, creation_key)))
        return await self.get(replay.tenant, known or replay.replay_id)

    async def get(self, tenant: str, replay_id: str) -> Replay:
        where = sa.and_(replays.c.tenant == tenant, replays.c.replay_id == replay_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(sa.select(replays).where(where))).one_or_none()
        if row is None:
            raise ReplayUnknown(replay_id)
        return _replay(row)

    async def page(self, tenant: str, *, limit: int, before: str) -> list[Replay]:
        query = sa.select(replays).where(replays.c.tenant == tenant)
        if before:
            query = query.where(replays.c.replay_id < before)
        # Ids are UUIDv7: the newest one is the greatest one.
        query = query.order_by(replays.c.replay_id.desc()).limit(limit)
        async with self._database.reading() as connection:
            return [_replay(row) for row in (await connection.execute(query)).all()]

    async def open(self) -> list[Replay]:
        query = sa.select(replays).where(replays.c.state.in_(OPEN)).order_by(replays.c.replay_id)
        async with self._database.reading() as connection:
            return [_replay(row) for row in (await connection.execute(query)).all()]

    async def keep(self, replay: Replay) -> bool:
        return await self._change(replay, {"state": replay.state.value})

    async def finish(self, replay: Replay, state: ReplayState, outcome: Outcome | None) -> bool:
        ended = {
            "state": state.value,
            "detail": replay.detail,
            "outcome": outcome_as_json(outcome) if outcome else {},
            "plan": _plan(replay),
            "end_time": time.time(),
        }
        return await self._change(replay, ended)

    async def _change(self, replay: Replay, values: dict[str, Any]) -> bool:
        progress = {name: getattr(replay, name) for name in PROGRESS}
        still = sa.and_(replays.c.replay_id == replay.replay_id, replays.c.state.in_(OPEN))
        async with self._database.transaction(aside=True) as transaction:
            update = sa.update(replays).where(still).values(progress=progress, **values)
            return int((await transaction.connection.execute(update)).rowcount) == 1


def _new(replay: Replay, creation_key: str) -> dict[str, Any]:
    return {
        "replay_id": replay.replay_id,
        "tenant": replay.tenant,
        "creation_key": creation_key or None,
        "plan": _plan(replay),
        "state": replay.state.value,
        "detail": "",
        "progress": {name: getattr(replay, name) for name in PROGRESS},
        "outcome": {},
        "create_time": replay.create_time.timestamp(),
    }


def _plan(replay: Replay) -> dict[str, Any]:
    wanted = replay.wanted
    times = {
        name: moment.isoformat() if moment else None
        for name, moment in (("start", wanted.start), ("end", wanted.end))
    }
    return {
        **{name: getattr(replay, name) for name in PLANNED},
        "target": replay.target.as_json(),
        "metrics": list(replay.metrics),
        "wanted": {**asdict(wanted), **times},
    }


def _replay(row: Any) -> Replay:
    plan = row.plan
    return Replay(
        replay_id=row.replay_id,
        tenant=row.tenant,
        target=target_from(plan["target"]),
        wanted=_wanted(plan["wanted"]),
        metrics=tuple(plan["metrics"]),
        create_time=datetime.fromtimestamp(row.create_time, UTC),
        end_time=datetime.fromtimestamp(row.end_time, UTC) if row.end_time else None,
        state=ReplayState(row.state),
        detail=row.detail,
        outcome=outcome_from(row.outcome),
        **{name: plan[name] for name in PLANNED},
        **row.progress,
    )


def _wanted(given: dict[str, Any]) -> AnswerFilter:
    times = {
        name: datetime.fromisoformat(given[name]) if given[name] else None
        for name in ("start", "end")
    }
    return AnswerFilter(**{**given, **times})
