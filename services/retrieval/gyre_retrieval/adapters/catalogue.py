"""The catalogue in the service's database; what it says goes into the outbox of the same commit."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self

import orjson
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp
from gyre.common.v1.document_pb2 import DocumentRevision
from gyre.retrieval.v1.events_pb2 import DocumentIndexed, DocumentUnindexed
from gyre_runtime.database import Database, Transaction
from gyre_runtime.database.transaction import upsert
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_retrieval.adapters.glance import Glance
from gyre_retrieval.adapters.tables import (
    arrivals,
    collections,
    documents,
    holds,
    indexes,
    leavings,
    reindexes,
)
from gyre_retrieval.domain.document import (
    Arrival,
    Change,
    DocumentState,
    Holding,
    Indexed,
    Unindexed,
)
from gyre_retrieval.domain.errors import EmbedderMismatch
from gyre_retrieval.domain.identity import DocumentKey, Version
from gyre_retrieval.domain.index import CollectionSummary, Index, InForce, View, index_for
from gyre_retrieval.ports import Leaving, Serving


class DatabaseCatalogue:
    """`Catalogue` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._glance = Glance(database.file, _look(_LISTED)) if database.file else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._glance is not None:
            self._glance.close()

    @asynccontextmanager
    async def changing(self, document: DocumentKey) -> AsyncIterator[DatabaseRecord]:
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            await _ensure(connection, collections, _collection(document))
            await _ensure(connection, documents, _row(document))
            yield DatabaseRecord(transaction, await _read(connection, document, lock=True))

    async def document(self, document: DocumentKey) -> DocumentState:
        async with self._database.reading() as connection:
            return await _read(connection, document)

    async def claim_index(self, collection: str, embedder: str, dimension: int) -> Index:
        index = await self._index_in_use(collection)
        if index is None:
            await self._make_index(index_for(collection, embedder, dimension))
            index = await self._index_in_use(collection)
        assert index is not None
        if index.embedder == embedder and index.dimension != dimension:
            raise EmbedderMismatch(f"{embedder} with {dimension} numbers", embedder)
        return index

    async def indexes(self, collection: str) -> list[Index]:
        query = sa.select(indexes).where(indexes.c.collection == collection)
        async with self._database.reading() as connection:
            return [_index(row) for row in await connection.execute(query)]

    async def index(self, collection: str, name: str) -> Index | None:
        filled = sa.and_(reindexes.c.index_name == name, reindexes.c.state == "ready")
        kept = sa.and_(reindexes.c.previous_name == name, reindexes.c.state == "switched")
        whole = sa.select(sa.literal(1)).where(sa.or_(filled, kept)).exists()
        query = sa.select(indexes).where(
            indexes.c.collection == collection,
            indexes.c.name == name,
            sa.or_(indexes.c.in_use, whole),
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _index(row)

    async def make_collection(self, tenant: str, collection: str) -> None:
        async with self._database.transaction() as transaction:
            row = {"tenant": tenant, "name": collection}
            await _ensure(transaction.connection, collections, row)

    async def view(self, tenant: str, collection: str) -> View | None:
        return (await self.look(tenant, collection, ()))[0]

    async def in_force(
        self, tenant: str, collection: str, document_ids: Sequence[str]
    ) -> Mapping[str, InForce]:
        return (await self.look(tenant, collection, document_ids))[1]

    async def look(
        self, tenant: str, collection: str, document_ids: Sequence[str]
    ) -> tuple[View | None, Mapping[str, InForce]]:
        rows = await self._rows(tenant, collection, document_ids)
        if not rows:
            return None, {}
        view = View(_index_or_none(rows[0]), rows[0].generation)
        return view, {
            row.document_id: InForce(row.revision, row.attempt, row.since)
            for row in rows
            if row.document_id is not None
        }

    async def collections(self, tenant: str) -> list[CollectionSummary]:
        query = (
            sa.select(
                collections.c.name,
                sa.func.count(documents.c.revision).label("documents"),
                sa.func.coalesce(sa.func.sum(documents.c.chunk_count), 0).label("chunks"),
                *_INDEX_COLUMNS,
            )
            .select_from(_COLLECTIONS_WITH_INDEX.outerjoin(documents, _OF_COLLECTION))
            .where(collections.c.tenant == tenant)
            .group_by(collections.c.name, *_INDEX_COLUMNS)
            .order_by(collections.c.name)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [
            CollectionSummary(row.name, row.documents, int(row.chunks), _index_or_none(row))
            for row in rows
        ]

    async def leavings(self, limit: int) -> list[Leaving]:
        query = sa.select(leavings).order_by(leavings.c.since).limit(limit)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [
            Leaving(
                DocumentKey(row.tenant, row.collection, row.document_id),
                Version(row.revision, row.attempt),
                row.since,
            )
            for row in rows
        ]

    async def leave(self, document: DocumentKey, version: Version) -> None:
        async with self._database.transaction(aside=True) as transaction:
            connection = transaction.connection
            row = _leaving_row(document, version)
            await connection.execute(upsert(connection, leavings, ["since"]), row)

    async def forget(self, gone: Sequence[Leaving]) -> None:
        async with self._database.transaction(aside=True) as transaction:
            for leaving in gone:
                where = _of(leavings, leaving.document), _at(leavings, leaving.version)
                as_read = leavings.c.since == leaving.since
                await transaction.connection.execute(sa.delete(leavings).where(*where, as_read))

    async def _rows(
        self, tenant: str, collection: str, ids: Sequence[str]
    ) -> Sequence[Looked | sa.Row[*tuple[Any, ...]]]:
        place: dict[str, Any] = {"tenant": tenant, "collection": collection}
        if self._glance is not None:
            found = self._glance.rows(place | {"ids": orjson.dumps(ids).decode()})
            return [Looked(*row) for row in found]
        async with self._database.reading() as connection:
            return (await connection.execute(_LOOK, place | {"ids": list(ids)})).all()

    async def _index_in_use(self, collection: str) -> Index | None:
        query = sa.select(indexes).where(indexes.c.collection == collection, indexes.c.in_use)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return _index(row) if row else None

    async def _make_index(self, index: Index) -> None:
        row = {
            "name": index.name,
            "collection": index.collection,
            "embedder": index.embedder,
            "dimension": index.dimension,
            "in_use": True,
        }
        async with self._database.transaction(aside=True) as transaction:
            await _ensure(transaction.connection, indexes, row)


class Looked(NamedTuple):
    """A row of `_look`."""

    generation: int
    index_name: str | None
    collection: str
    embedder: str
    dimension: int
    document_id: str | None
    revision: int
    attempt: int
    since: int


class DatabaseRecord:
    """`DocumentRecord` inside one write transaction."""

    def __init__(self, transaction: Transaction, state: DocumentState) -> None:
        self._transaction = transaction
        self.state = state

    async def serving(self) -> Serving | None:
        """The row is locked: a switch waits for what is brought into force, or the other way."""
        in_use = sa.and_(indexes.c.collection == self.state.document.collection, indexes.c.in_use)
        query = sa.select(indexes).where(in_use).with_for_update(read=True)
        row = (await self._transaction.connection.execute(query)).one_or_none()
        if row is None:
            return None
        held = sa.select(holds.c.until).where(holds.c.collection == row.collection)
        until = await self._transaction.connection.scalar(held)
        return Serving(_index(row), max((until or 0.0) - time.time(), 0.0))

    async def apply(self, change: Change) -> None:
        document = change.state.document
        if change.state != self.state:
            generation = await self._next_generation(document) if change.facts else None
            await self._write(change.state, generation)
        rows = [_leaving_row(document, gone) for gone in change.leavings]
        if rows:
            connection = self._transaction.connection
            await connection.execute(upsert(connection, leavings, ["since"]), rows)
        for fact in change.facts:
            event = _indexed(fact) if isinstance(fact, Indexed) else _unindexed(fact)
            self._transaction.say(event, tenant=document.tenant, entity_id=document.document_id)
        self.state = change.state

    async def _next_generation(self, document: DocumentKey) -> int:
        counted = (
            sa.update(collections)
            .where(
                collections.c.tenant == document.tenant,
                collections.c.name == document.collection,
            )
            .values(generation=collections.c.generation + 1)
            .returning(collections.c.generation)
        )
        return int((await self._transaction.connection.execute(counted)).scalar_one())

    async def _write(self, state: DocumentState, generation: int | None) -> None:
        connection, document, held = self._transaction.connection, state.document, state.in_force
        values: dict[str, Any] = {
            "deleted_revision": state.deleted_revision,
            "revision": held and held.version.revision,
            "attempt": held and held.version.attempt,
            "revision_id": held and held.revision_id,
            "chunk_count": held and held.chunk_count,
            "embedder": held and held.embedder,
        }
        if generation is not None:
            values["generation"] = generation
        await connection.execute(
            sa.update(documents).where(_of(documents, document)).values(**values)
        )
        for gone in self.state.arrivals - state.arrivals:
            where = _of(arrivals, document), _at(arrivals, gone.version)
            part = arrivals.c.part_index == gone.part_index
            await connection.execute(sa.delete(arrivals).where(*where, part))
        for new in state.arrivals - self.state.arrivals:
            await _ensure(connection, arrivals, _arrival_row(document, new))


_INDEX_COLUMNS = (
    indexes.c.name.label("index_name"),
    indexes.c.collection,
    indexes.c.embedder,
    indexes.c.dimension,
)
_COLLECTIONS_WITH_INDEX = collections.outerjoin(
    indexes, sa.and_(indexes.c.collection == collections.c.name, indexes.c.in_use)
)
_OF_COLLECTION = sa.and_(
    documents.c.tenant == collections.c.tenant, documents.c.collection == collections.c.name
)


def _look(ids: sa.BindParameter[Any] | sa.Select[Any]) -> sa.Select[*tuple[Any, ...]]:
    """A row of the collection with its index, for each document in force of those asked for."""
    in_force = sa.and_(
        _OF_COLLECTION, documents.c.document_id.in_(ids), documents.c.revision.is_not(None)
    )
    return (
        sa.select(
            collections.c.generation,
            *_INDEX_COLUMNS,
            documents.c.document_id,
            documents.c.revision,
            documents.c.attempt,
            documents.c.generation.label("since"),
        )
        .select_from(_COLLECTIONS_WITH_INDEX.outerjoin(documents, in_force))
        .where(
            collections.c.tenant == sa.bindparam("tenant"),
            collections.c.name == sa.bindparam("collection"),
        )
    )


_LOOK = _look(sa.bindparam("ids", expanding=True))
_LISTED = sa.select(sa.func.json_each(sa.bindparam("ids")).table_valued("value").c.value)


async def _read(
    connection: AsyncConnection, document: DocumentKey, *, lock: bool = False
) -> DocumentState:
    query = sa.select(documents).where(_of(documents, document))
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    parts = await connection.execute(sa.select(arrivals).where(_of(arrivals, document)))
    if row is None:
        return DocumentState(document)
    return DocumentState(
        document, _holding(row), row.deleted_revision, frozenset(_arrival(part) for part in parts)
    )


async def _ensure(connection: AsyncConnection, table: sa.Table, row: Mapping[str, Any]) -> None:
    insert = postgres_insert if connection.dialect.name == "postgresql" else sqlite_insert
    await connection.execute(insert(table).values(**row).on_conflict_do_nothing())


def _row(document: DocumentKey) -> dict[str, Any]:
    return {
        "tenant": document.tenant,
        "collection": document.collection,
        "document_id": document.document_id,
    }


def _leaving_row(document: DocumentKey, version: Version) -> dict[str, Any]:
    place = {"revision": version.revision, "attempt": version.attempt}
    return {**_row(document), **place, "since": time.time()}


def _collection(document: DocumentKey) -> dict[str, Any]:
    return {"tenant": document.tenant, "name": document.collection}


def _of(table: sa.Table, document: DocumentKey) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[name] == value for name, value in _row(document).items()))


def _at(table: sa.Table, version: Version) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.revision == version.revision, table.c.attempt == version.attempt)


def _index(row: Any) -> Index:
    return Index(row.name, row.collection, row.embedder, row.dimension)


def _index_or_none(row: Any) -> Index | None:
    if row.index_name is None:
        return None
    return Index(row.index_name, row.collection, row.embedder, row.dimension)


def _holding(row: Any) -> Holding | None:
    if row.revision is None:
        return None
    version = Version(row.revision, row.attempt)
    return Holding(version, row.revision_id, row.chunk_count, row.embedder)


def _arrival(row: Any) -> Arrival:
    return Arrival(
        Version(row.revision, row.attempt),
        row.revision_id,
        row.part_index,
        row.part_count,
        row.chunk_count,
        row.embedder,
    )


def _arrival_row(document: DocumentKey, arrival: Arrival) -> dict[str, Any]:
    return {
        **_row(document),
        "revision": arrival.version.revision,
        "attempt": arrival.version.attempt,
        "part_index": arrival.part_index,
        "part_count": arrival.part_count,
        "revision_id": arrival.revision_id,
        "chunk_count": arrival.chunk_count,
        "embedder": arrival.embedder,
    }


def _indexed(fact: Indexed) -> DocumentIndexed:
    return DocumentIndexed(
        revision=_revision(fact.document, fact.holding.version.revision, fact.holding.revision_id),
        chunk_count=fact.holding.chunk_count,
        embedder=fact.holding.embedder,
        index_time=_now(),
        attempt=fact.holding.version.attempt,
    )


def _unindexed(fact: Unindexed) -> DocumentUnindexed:
    return DocumentUnindexed(
        revision=_revision(fact.document, fact.revision, fact.revision_id),
        chunk_count=fact.chunk_count,
        unindex_time=_now(),
    )


def _revision(document: DocumentKey, revision: int, revision_id: str) -> DocumentRevision:
    return DocumentRevision(
        document_id=document.document_id,
        revision_id=revision_id,
        revision=revision,
        collection=document.collection,
    )


def _now() -> Timestamp:
    stamp = Timestamp()
    stamp.GetCurrentTime()
    return stamp
