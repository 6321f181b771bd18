"""Judgements as rows and back."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from gyre.feedback.v1 import feedback_pb2 as pb
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_feedback.adapters.tables import feedback
from gyre_feedback.domain.answers import JudgedAnswer
from gyre_feedback.domain.errors import Refused
from gyre_feedback.domain.judgements import Judgement, Kept, State, account_of, check_part
from gyre_feedback.domain.metrics import Level
from gyre_feedback.domain.scores import Entity, EntityKind, entities_of
from gyre_feedback.ports import Key, Submitted
from gyre_feedback.wire import answer_from, judgement_from, judgement_to

# What an edit replaces; the first time of arrival and what is counted stay.
EDITED = (
    "revision",
    "fingerprint",
    "goodness",
    "account",
    "state",
    "wait_time",
    "prompt",
    "entities",
    "dirty",
    "body",
)


def is_key(key: Key) -> sa.ColumnElement[bool]:
    names = (feedback.c.tenant, feedback.c.principal, feedback.c.feedback_id)
    return sa.and_(*(column == value for column, value in zip(names, key, strict=True)))


def new_row(submitted: Submitted, answer: JudgedAnswer | None, now: float) -> dict[str, Any]:
    """As it is kept first."""
    judgement, target = submitted.judgement, submitted.judgement.target
    return {
        "tenant": submitted.tenant,
        "principal": submitted.principal,
        "feedback_id": judgement.feedback_id,
        "revision": judgement.revision,
        "fingerprint": judgement.fingerprint,
        "place": target.place,
        "part": f"{target.step_id}/{target.chunk_id}",
        "metric": judgement.metric,
        "level": submitted.level,
        "goodness": submitted.goodness,
        "account": account_of(submitted.principal, judgement.source),
        "vouched": submitted.vouched,
        "state": _state(judgement, answer),
        "cleared": False,
        "receive_time": now,
        "wait_time": now,
        "prompt": answer.prompt if answer else "",
        "entities": _entities(submitted.tenant, judgement, submitted.level, answer),
        "dirty": answer is not None or judgement.withdrawn,
        "seen": False,
        "counted": None,
        "body": judgement_to(judgement).SerializeToString(deterministic=True),
    }


def joined_values(row: sa.Row[Any], answer: JudgedAnswer) -> dict[str, Any]:
    """What changes when the answer comes to a judgement that waits."""
    judgement = judgement_of(row.body)
    try:
        check_part(judgement, answer)
    except Refused as refused:
        return {"state": State.REJECTED, "reason": refused.reason, "detail": refused.detail}
    return {
        "state": State.RECORDED,
        "reason": "",
        "detail": "",
        "prompt": answer.prompt,
        "entities": _entities(row.tenant, judgement, Level(row.level), answer),
        "dirty": True,
    }


def upsert(connection: AsyncConnection) -> sa.Executable:
    """Gives the state back where it was stored: not for a known revision, an older one, or
    another target."""
    return _upsert(connection.dialect.name)


@cache
def _upsert(dialect: str) -> sa.Executable:
    new: Any = (postgres_insert if dialect == "postgresql" else sqlite_insert)(feedback)
    # An edit does not let a judgement out of quarantine.
    held = feedback.c.state.in_([State.QUARANTINED, State.DROPPED])
    edited = new.excluded.state == State.RECORDED
    changes = {name: new.excluded[name] for name in EDITED}
    changes["state"] = sa.case((sa.and_(held, edited), feedback.c.state), else_=changes["state"])
    newer = new.excluded.revision > feedback.c.revision
    same = (feedback.c[name] == new.excluded[name] for name in ("place", "part", "metric"))
    keys = list(feedback.primary_key.columns)
    statement = new.on_conflict_do_update(
        index_elements=keys, set_=changes, where=sa.and_(newer, *same)
    )
    return statement.returning(feedback.c.state)  # type: ignore[no-any-return]


def conflict(row: sa.Row[Any], judgement: Judgement) -> str:
    """Why a judgement was not stored; empty where it is a retry or stale."""
    known = judgement_of(row.body)
    if judgement.revision > row.revision:
        return "an edit cannot change the metric or what is judged"
    if judgement.revision == row.revision and judgement.fingerprint != known.fingerprint:
        text = f"revision {row.revision} of '{judgement.feedback_id}' says something else"
        return f"{text}: send revision {row.revision + 1} to edit it"
    return ""


def judgement_of(body: bytes) -> Judgement:
    message = pb.Feedback.FromString(body)
    return judgement_from(message, withdrawn=not message.HasField("value"))


def kept_of(row: sa.Row[Any]) -> Kept:
    """Of a row with its place's `about`."""
    answer = row.about and answer_from(pb.JudgedAnswer.FromString(row.about))
    return Kept(
        tenant=row.tenant,
        principal=row.principal,
        judgement=judgement_of(row.body),
        state=State(row.state),
        receive_time=datetime.fromtimestamp(row.receive_time, UTC),
        answer=answer or None,
        reason=row.reason,
        detail=row.detail,
    )


def entities_from(tenant: str, metric: str, found: Any) -> tuple[Entity, ...]:
    return tuple(Entity(tenant, EntityKind(kind), name, metric) for kind, name in found)


def _entities(
    tenant: str, judgement: Judgement, level: Level, answer: JudgedAnswer | None
) -> list[list[str]]:
    if answer is None:
        return []
    found = entities_of(tenant, judgement.metric, level, judgement.target.chunk_id, answer)
    return [[one.kind, one.entity_id] for one in found]


def _state(judgement: Judgement, answer: JudgedAnswer | None) -> State:
    if judgement.withdrawn:
        return State.WITHDRAWN
    return State.RECORDED if answer else State.WAITING
