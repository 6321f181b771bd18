"""One transaction on one collection, over `gyre_runtime.database`."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from gyre_runtime.database import Transaction
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from gyre_ingestion.adapters.rows import document_of, row_of
from gyre_ingestion.adapters.tables import (
    collections,
    documents,
    fingerprint_keys,
    fingerprints,
    near_duplicates,
)
from gyre_ingestion.domain.documents import Document
from gyre_ingestion.domain.facts import Fact
from gyre_ingestion.domain.personal_data import PersonalDataPolicy
from gyre_ingestion.wire import event_of

MOST_ALIKE = 200


class DatabaseDocumentChanges:
    """Made by `begin`, which locks the collection's row: changes of a collection are serial."""

    def __init__(self, transaction: Transaction, tenant: str, collection: str) -> None:
        self._transaction = transaction
        self._tenant = tenant
        self._collection = collection
        self.number = 0
        self.policy: PersonalDataPolicy | None = None

    async def begin(self) -> None:
        """Takes the next number of change; whoever else changes the collection waits from here."""
        key = {"tenant": self._tenant, "collection": self._collection}
        connection = self._transaction.connection
        row = (await connection.execute(_next_change(connection.dialect.name), key)).one()
        self.number = row.changes
        self.policy = PersonalDataPolicy(row.policy) if row.policy else None

    async def get(self, document_id: str) -> Document | None:
        return await self._first(documents.c.document_id == document_id)

    async def first_copy_of(self, document_id: str) -> Document | None:
        return await self._first(documents.c.duplicate_of == document_id)

    async def leaving_for(self, document_id: str) -> list[Document]:
        waiting = (*self._mine(documents), documents.c.successor == document_id)
        query = documents.select().where(*waiting).order_by(documents.c.document_id)
        rows = (await self._transaction.connection.execute(query)).mappings().all()
        return [document_of(dict(row), ()) for row in rows]

    async def save(self, document: Document) -> None:
        if (document.tenant, document.collection) != (self._tenant, self._collection):
            raise ValueError("a transaction changes documents of its own collection only")
        connection = self._transaction.connection
        row = row_of(document) | {"change": self.number}
        await connection.execute(_replacement(connection.dialect.name), row)

    async def holder(self, text_hash: str) -> str | None:
        query = sa.select(documents.c.document_id).where(
            *self._mine(documents), documents.c.held_text_hash == text_hash
        )
        name: str | None = await self._transaction.connection.scalar(query)
        return name

    async def redirect_copies(self, document_id: str, heir_id: str) -> None:
        copies = sa.and_(*self._mine(documents), documents.c.duplicate_of == document_id)
        values = {"duplicate_of": heir_id, "change": self.number}
        await self._run(documents.update().where(copies).values(values))

    async def set_fingerprint(
        self, document_id: str, signature: bytes, keys: Sequence[str]
    ) -> None:
        name = {"tenant": self._tenant, "document_id": document_id}
        for table in (fingerprint_keys, fingerprints):
            await self._run(table.delete().where(*self._of(table, document_id)))
        if not signature:
            return
        await self._run(fingerprints.insert().values(name | {"signature": signature}))
        rows = [name | {"collection": self._collection, "key": key} for key in sorted(set(keys))]
        await self._transaction.connection.execute(fingerprint_keys.insert(), rows)

    async def alike(self, document_id: str, keys: Sequence[str]) -> Mapping[str, bytes]:
        sharing = (
            sa.select(fingerprint_keys.c.document_id)
            .where(*self._mine(fingerprint_keys), fingerprint_keys.c.key.in_(keys))
            .where(fingerprint_keys.c.document_id != document_id)
            .distinct()
            .order_by(fingerprint_keys.c.document_id)
            .limit(MOST_ALIKE)
        )
        query = sa.select(fingerprints.c.document_id, fingerprints.c.signature).where(
            fingerprints.c.tenant == self._tenant, fingerprints.c.document_id.in_(sharing)
        )
        found = await self._transaction.connection.execute(query)
        return {row.document_id: row.signature for row in found}

    async def mark_near_duplicates(self, document_id: str, others: Collection[str]) -> None:
        former = await self._near(document_id)
        if not former and not others:
            return
        table = near_duplicates
        pairs = [(table.c.document_id, table.c.other_id), (table.c.other_id, table.c.document_id)]
        for one, _ in pairs:
            mine = sa.and_(table.c.tenant == self._tenant, one == document_id)
            await self._run(table.delete().where(mine))
        rows = [self._pair(document_id, other) for other in others]
        rows += [self._pair(other, document_id) for other in others]
        if rows:
            await self._transaction.connection.execute(table.insert(), rows)
        await self._touch(former ^ set(others) | {document_id})

    async def configure(self, policy: PersonalDataPolicy | None) -> None:
        self.policy = policy
        value = policy.value if policy else None
        await self._run(collections.update().where(*self._mine(collections)).values(policy=value))

    def say(self, fact: Fact) -> None:
        self._transaction.say(
            event_of(fact), tenant=self._tenant, entity_id=fact.document.document_id
        )

    async def _first(self, condition: sa.ColumnElement[bool]) -> Document | None:
        query = documents.select().where(*self._mine(documents), condition)
        query = query.order_by(documents.c.document_id).limit(1)
        row = (await self._transaction.connection.execute(query)).mappings().first()
        if row is None:
            return None
        near = await self._near(row["document_id"])
        return document_of(dict(row), tuple(sorted(near)))

    async def _near(self, document_id: str) -> set[str]:
        query = sa.select(near_duplicates.c.other_id).where(*self._of(near_duplicates, document_id))
        return set(await self._transaction.connection.scalars(query))

    async def _touch(self, document_ids: set[str]) -> None:
        """Their near-duplicates changed, so watchers must see them."""
        touched = sa.and_(*self._mine(documents), documents.c.document_id.in_(document_ids))
        await self._run(documents.update().where(touched).values(change=self.number))

    def _pair(self, one: str, other: str) -> dict[str, str]:
        return {"tenant": self._tenant, "document_id": one, "other_id": other}

    def _mine(self, table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
        return (table.c.tenant == self._tenant, table.c.collection == self._collection)

    def _of(self, table: sa.Table, document_id: str) -> tuple[sa.ColumnElement[bool], ...]:
        return (table.c.tenant == self._tenant, table.c.document_id == document_id)

    async def _run(self, statement: sa.Executable) -> None:
        await self._transaction.connection.execute(statement)


# SQLAlchemy takes longer to put these together than SQLite to run them.
@cache
def _replacement(dialect: str) -> Any:
    """Inserts a document's row, or replaces it."""
    insert = _insert(dialect, documents)
    columns = [column.name for column in documents.columns if not column.primary_key]
    changed = {name: insert.excluded[name] for name in columns}
    return insert.on_conflict_do_update(index_elements=_key(documents), set_=changed)


@cache
def _next_change(dialect: str) -> Any:
    """Counts a change of a collection; its number and the collection's policy come back."""
    insert = _insert(dialect, collections).values(changes=1)
    counted = {"changes": collections.c.changes + 1}
    return insert.on_conflict_do_update(index_elements=_key(collections), set_=counted).returning(
        collections.c.changes, collections.c.policy
    )


def _insert(dialect: str, table: sa.Table) -> Any:
    return postgres_insert(table) if dialect == "postgresql" else sqlite_insert(table)


def _key(table: sa.Table) -> list[str]:
    return [column.name for column in table.primary_key]
