"""Erasure of sources: what is there loses its content, what comes later never has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_retraining.adapters.source_rows import answer_of, chunk_of, judgement_of, review_of
from gyre_retraining.adapters.source_tables import (
    answers,
    chunks,
    erasures,
    judgements,
    reviews,
    shown,
)
from gyre_retraining.domain.erasure import Erased, textless, user_key
from gyre_retraining.domain.sources import ChunkText, Judgement, RecordedAnswer

USER, DOCUMENT = "user", "document"
AT_ONCE = 500


async def take_turn(connection: AsyncConnection, tenant: str, *, alone: bool) -> None:
    """On PostgreSQL a write beside an erasure would see neither its row nor be seen by it."""
    if connection.dialect.name == "postgresql":
        lock = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
        statement = sa.text(f"SELECT {lock}(hashtext(:name))")
        await connection.execute(statement, {"name": f"gyre.sources/{tenant}"})


async def of_answer(connection: AsyncConnection, tenant: str, answer: RecordedAnswer) -> Erased:
    """What of an answer that comes now is erased already."""
    if answer.end_user:
        until = await _until(connection, tenant, USER, [user_key(tenant, answer.end_user)])
        if any(answer.time <= moment for moment in until.values()):
            return Erased.USER
    documents = {one.document_id for one in answer.passages}
    gone = await _until(connection, tenant, DOCUMENT, sorted(documents))
    if any(one.revision <= gone.get(one.document_id, -1) for one in answer.passages):
        return Erased.DOCUMENT
    return Erased.NOTHING


async def of_judgement(connection: AsyncConnection, tenant: str, said: Judgement) -> Erased:
    if said.rater:
        until = await _until(connection, tenant, USER, [user_key(tenant, said.rater)])
        if any(said.time <= moment for moment in until.values()):
            return Erased.USER
    return await of_answer_id(connection, tenant, said.answer_id)


async def of_answer_id(connection: AsyncConnection, tenant: str, answer_id: str) -> Erased:
    """What was erased of an answer that is there."""
    query = sa.select(answers.c.erased, answers.c.body).where(
        answers.c.tenant == tenant, answers.c.answer_id == answer_id
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None or not row.erased:
        return Erased.NOTHING
    return Erased.DOCUMENT if row.body["question"] else Erased.USER


async def of_chunks(
    connection: AsyncConnection, tenant: str, given: Sequence[ChunkText]
) -> list[ChunkText]:
    documents = sorted({one.document_id for one in given})
    gone = await _until(connection, tenant, DOCUMENT, documents)
    return [
        textless(one) if one.revision <= gone.get(one.document_id, -1) else one for one in given
    ]


async def erase_user(connection: AsyncConnection, tenant: str, user: str, moment: float) -> int:
    key = user_key(tenant, user)
    await _remember(connection, tenant, USER, key, moment)
    mine = sa.and_(answers.c.tenant == tenant, answers.c.user_key == key, answers.c.time <= moment)
    ids = await _ids(connection, sa.select(answers.c.answer_id).where(mine))
    await _strip(connection, tenant, ids, Erased.USER)
    rated = sa.and_(
        judgements.c.tenant == tenant,
        judgements.c.rater_key == key,
        judgements.c.time <= moment,
    )
    await _change(connection, judgements, rated, _silent(Erased.USER), {"rater_key": ""})
    return len(ids)


async def erase_document(
    connection: AsyncConnection, tenant: str, document_id: str, revision: int
) -> int:
    await _remember(connection, tenant, DOCUMENT, document_id, revision)
    cut = sa.and_(
        chunks.c.tenant == tenant,
        chunks.c.document_id == document_id,
        chunks.c.revision <= revision,
    )
    texts = await _change(connection, chunks, cut, lambda body: textless(chunk_of(body)))
    was_shown = sa.and_(
        shown.c.tenant == tenant,
        shown.c.document_id == document_id,
        shown.c.revision <= revision,
    )
    ids = await _ids(connection, sa.select(shown.c.answer_id).where(was_shown))
    await _strip(connection, tenant, ids, Erased.DOCUMENT)
    return texts + len(ids)


async def silence(
    connection: AsyncConnection, tenant: str, answer_ids: Sequence[str], how: Erased
) -> None:
    """Takes the words out of what was said about these answers."""
    if how is Erased.NOTHING:
        return
    for table, change in ((judgements, _silent(how)), (reviews, _unreviewed(how))):
        for start in range(0, len(answer_ids), AT_ONCE):
            some = table.c.answer_id.in_(answer_ids[start : start + AT_ONCE])
            await _change(connection, table, sa.and_(table.c.tenant == tenant, some), change)


async def _strip(
    connection: AsyncConnection, tenant: str, answer_ids: Sequence[str], how: Erased
) -> None:
    values = {"erased": True} | ({"user_key": ""} if how is Erased.USER else {})
    for start in range(0, len(answer_ids), AT_ONCE):
        some = answers.c.answer_id.in_(answer_ids[start : start + AT_ONCE])
        mine = sa.and_(answers.c.tenant == tenant, some)
        await _change(connection, answers, mine, lambda body: how.answer(answer_of(body)), values)
    await silence(connection, tenant, answer_ids, how)


def _silent(how: Erased) -> Callable[[Any], Any]:
    return lambda body: how.judgement(judgement_of(body))


def _unreviewed(how: Erased) -> Callable[[Any], Any]:
    return lambda body: how.review(review_of(body))


async def _change(
    connection: AsyncConnection,
    table: sa.Table,
    where: sa.ColumnElement[bool],
    change: Callable[[Any], Any],
    values: dict[str, Any] | None = None,
) -> int:
    """Rewrites the bodies; how many."""
    keys = list(table.primary_key.columns)
    rows = (await connection.execute(sa.select(*keys, table.c.body).where(where))).all()
    if not rows:
        return 0
    same = sa.and_(*(key == sa.bindparam(f"is_{key.name}") for key in keys))
    statement = sa.update(table).where(same).values(body=sa.bindparam("new_body"), **(values or {}))
    given = [
        {f"is_{key.name}": getattr(row, key.name) for key in keys}
        | {"new_body": asdict(change(row.body))}
        for row in rows
    ]
    await connection.execute(statement, given)
    return len(rows)


async def _ids(connection: AsyncConnection, query: sa.Select[Any]) -> list[str]:
    return sorted((await connection.execute(query)).scalars())


async def _until(
    connection: AsyncConnection, tenant: str, kind: str, keys: Sequence[str]
) -> dict[str, float]:
    if not keys:
        return {}
    query = sa.select(erasures.c.key, erasures.c.until).where(
        erasures.c.tenant == tenant, erasures.c.kind == kind, erasures.c.key.in_(keys)
    )
    return {row.key: row.until for row in await connection.execute(query)}


async def _remember(
    connection: AsyncConnection, tenant: str, kind: str, key: str, until: float
) -> None:
    """An older erasure does not shorten a newer one."""
    known = await _until(connection, tenant, kind, [key])
    here = (erasures.c.tenant == tenant, erasures.c.kind == kind, erasures.c.key == key)
    if not known:
        row = {"tenant": tenant, "kind": kind, "key": key, "until": until}
        await connection.execute(sa.insert(erasures), row)
    elif known[key] < until:
        await connection.execute(sa.update(erasures).where(*here).values(until=until))
