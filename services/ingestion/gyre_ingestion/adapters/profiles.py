"""Counts a collection."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_ingestion.adapters.tables import collections, documents, near_duplicates
from gyre_ingestion.domain.documents import DocumentState
from gyre_ingestion.domain.personal_data import PersonalDataPolicy
from gyre_ingestion.ports import Profile

_REJECTED = documents.c.state == DocumentState.REJECTED.value


async def profile_of(connection: AsyncConnection, tenant: str, collection: str) -> Profile:
    """Documents that are not deleted, counted by what is known of them."""
    living = sa.and_(
        documents.c.tenant == tenant,
        documents.c.collection == collection,
        documents.c.deleted.is_(False),
    )
    totals = (await connection.execute(_totals().where(living))).one()
    known_type = sa.and_(living, documents.c.media_type != "")
    return Profile(
        documents=totals.documents,
        chunks=int(totals.chunks),
        size_bytes=int(totals.size_bytes),
        by_state=await _by(connection, documents.c.state, living),
        by_media_type=await _by(connection, documents.c.media_type, known_type),
        by_language=await _by_language(connection, known_type),
        by_reason=await _by(connection, documents.c.rejection_reason, sa.and_(living, _REJECTED)),
        with_near_duplicates=await _with_near_duplicates(connection, living),
        policy=await _policy(connection, tenant, collection),
    )


def _totals() -> sa.Select[Any]:
    return sa.select(
        sa.func.count().label("documents"),
        sa.func.coalesce(sa.func.sum(documents.c.chunk_count), 0).label("chunks"),
        sa.func.coalesce(sa.func.sum(documents.c.size_bytes), 0).label("size_bytes"),
    )


async def _by(
    connection: AsyncConnection, column: sa.ColumnElement[Any], which: sa.ColumnElement[bool]
) -> dict[str, int]:
    query = sa.select(column, sa.func.count()).where(which).group_by(column)
    return {str(name): int(count) for name, count in await connection.execute(query)}


async def _by_language(
    connection: AsyncConnection, which: sa.ColumnElement[bool]
) -> dict[str, int]:
    found = await _by(connection, documents.c.language, which)
    return {name or "und": count for name, count in found.items()}


async def _with_near_duplicates(connection: AsyncConnection, living: sa.ColumnElement[bool]) -> int:
    pair = sa.and_(
        near_duplicates.c.tenant == documents.c.tenant,
        near_duplicates.c.document_id == documents.c.document_id,
    )
    query = sa.select(sa.func.count()).select_from(documents)
    return await connection.scalar(query.where(living, sa.exists().where(pair))) or 0


async def _policy(
    connection: AsyncConnection, tenant: str, collection: str
) -> PersonalDataPolicy | None:
    mine = (collections.c.tenant == tenant, collections.c.collection == collection)
    value = await connection.scalar(sa.select(collections.c.policy).where(*mine))
    return PersonalDataPolicy(value) if value else None
