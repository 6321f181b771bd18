"""Documents in the service's own database; every query begins with the tenant."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from gyre_runtime.database import Database
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_ingestion.adapters.bell import Bell
from gyre_ingestion.adapters.changes import DatabaseDocumentChanges
from gyre_ingestion.adapters.profiles import profile_of
from gyre_ingestion.adapters.rows import document_of
from gyre_ingestion.adapters.tables import collections, documents, near_duplicates
from gyre_ingestion.domain.documents import Document, DocumentState
from gyre_ingestion.domain.personal_data import PersonalDataPolicy
from gyre_ingestion.ports import Changed, Profile, Selection

_DELETED = DocumentState.DELETED.value


class DatabaseDocuments:
    """SQLite or PostgreSQL, by the database it is given."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._bell = Bell()

    @asynccontextmanager
    async def changing(
        self, tenant: str, collection: str
    ) -> AsyncIterator[DatabaseDocumentChanges]:
        async with self._database.transaction() as transaction:
            changes = DatabaseDocumentChanges(transaction, tenant, collection)
            await changes.begin()
            transaction.on_commit(lambda: self._bell.ring(tenant, collection, changes.number))
            yield changes

    async def get(self, tenant: str, document_id: str) -> Document | None:
        mine = (documents.c.tenant == tenant, documents.c.document_id == document_id)
        found = await self._documents(tenant, documents.select().where(*mine))
        return found[0].document if found else None

    async def list(
        self, tenant: str, selection: Selection, after: str, limit: int
    ) -> Sequence[Document]:
        query = documents.select().where(*_selected(tenant, selection))
        query = query.where(documents.c.document_id > after)
        found = await self._documents(tenant, query.order_by(documents.c.document_id).limit(limit))
        return [changed.document for changed in found]

    async def count(self, tenant: str, selection: Selection) -> int:
        query = sa.select(sa.func.count()).select_from(documents)
        return await self._scalar(query.where(*_selected(tenant, selection))) or 0

    async def holder_of_bytes(self, tenant: str, collection: str, sha256: str) -> str | None:
        query = sa.select(documents.c.document_id).where(
            documents.c.tenant == tenant,
            documents.c.collection == collection,
            documents.c.held_sha256 == sha256,
        )
        name: str | None = await self._scalar(query.order_by(documents.c.document_id).limit(1))
        return name

    async def profile(self, tenant: str, collection: str) -> Profile:
        async with self._database.reading() as connection:
            return await profile_of(connection, tenant, collection)

    async def policy(self, tenant: str, collection: str) -> PersonalDataPolicy | None:
        value = await self._scalar(_of_collection(collections.c.policy, tenant, collection))
        return PersonalDataPolicy(value) if value else None

    async def changes_after(
        self, tenant: str, selection: Selection, after: tuple[int, str], limit: int
    ) -> Sequence[Changed]:
        number, name = after
        later = sa.or_(
            documents.c.change > number,
            sa.and_(documents.c.change == number, documents.c.document_id > name),
        )
        query = documents.select().where(*_named(tenant, selection), later)
        order = (documents.c.change, documents.c.document_id)
        return await self._documents(tenant, query.order_by(*order).limit(limit))

    async def last_change(self, tenant: str, collection: str) -> int:
        query = _of_collection(collections.c.changes, tenant, collection)
        return await self._scalar(query) or 0

    async def await_change(self, tenant: str, collection: str, after: int, patience: float) -> None:
        await self._bell.wait(tenant, collection, after, patience)

    async def leaving_since(self, moment: datetime) -> Sequence[Document]:
        waiting = (documents.c.successor > "", documents.c.update_time < moment.timestamp())
        async with self._database.reading() as connection:
            rows = (await connection.execute(documents.select().where(*waiting))).mappings().all()
        return [document_of(dict(row), ()) for row in rows]

    async def unused(self, tenant: str, hashes: Collection[str]) -> set[str]:
        living = sa.and_(documents.c.tenant == tenant, documents.c.deleted.is_(False))
        unused = set(hashes)
        async with self._database.reading() as connection:
            for some in _batches(sorted(unused), 500):
                query = sa.select(documents.c.sha256).where(living, documents.c.sha256.in_(some))
                unused -= set(await connection.scalars(query))
        return unused

    async def _documents(self, tenant: str, query: sa.Select[Any]) -> Sequence[Changed]:
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).mappings().all()
            near = await _near(connection, tenant, [row["document_id"] for row in rows])
        return [_changed(dict(row), near[row["document_id"]]) for row in rows]

    async def _scalar(self, query: sa.Select[Any]) -> Any:
        async with self._database.reading() as connection:
            return await connection.scalar(query)


def _changed(row: Mapping[str, Any], near: Iterable[str]) -> Changed:
    return Changed(row["change"], document_of(row, tuple(sorted(near))))


def _named(tenant: str, selection: Selection) -> tuple[sa.ColumnElement[bool], ...]:
    mine = (documents.c.tenant == tenant, documents.c.collection == selection.collection)
    if not selection.document_ids:
        return mine
    return (*mine, documents.c.document_id.in_(selection.document_ids))


def _selected(tenant: str, selection: Selection) -> tuple[sa.ColumnElement[bool], ...]:
    state = selection.state
    wanted = documents.c.state == state.value if state else documents.c.state != _DELETED
    return (*_named(tenant, selection), wanted)


def _of_collection(column: sa.ColumnElement[Any], tenant: str, collection: str) -> sa.Select[Any]:
    mine = (collections.c.tenant == tenant, collections.c.collection == collection)
    return sa.select(column).where(*mine)


async def _near(
    connection: AsyncConnection, tenant: str, document_ids: Sequence[str]
) -> Mapping[str, list[str]]:
    near: defaultdict[str, list[str]] = defaultdict(list)
    if document_ids:
        query = near_duplicates.select().where(
            near_duplicates.c.tenant == tenant, near_duplicates.c.document_id.in_(document_ids)
        )
        for row in await connection.execute(query):
            near[row.document_id].append(row.other_id)
    return near


def _batches(items: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))
