"""Datasets in the service's database."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from gyre_runtime.database import Database
from gyre_runtime.database.transaction import insert_ignore
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_evaluation.adapters.offline.tables import datasets, examples
from gyre_evaluation.domain.datasets import DatasetVersion, Sealing
from gyre_evaluation.domain.errors import DatasetSealed, DatasetUnknown
from gyre_evaluation.domain.examples import Example, example_from

ROWS_AT_ONCE = 500


class DatabaseDatasets:
    """`Datasets` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(
        self, tenant: str, name: str, *, description: str, author: str, creation_key: str
    ) -> DatasetVersion:
        mine = sa.and_(datasets.c.tenant == tenant, datasets.c.name == name)
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            by_key = sa.and_(mine, datasets.c.creation_key == creation_key)
            if creation_key and (known := await _first(connection, by_key)):
                return known
            newest = await connection.scalar(sa.select(sa.func.max(datasets.c.version)).where(mine))
            row: dict[str, Any] = {
                "tenant": tenant,
                "name": name,
                "version": (newest or 0) + 1,
                "description": description,
                "author": author,
                "creation_key": creation_key or None,
                "create_time": time.time(),
                "sealed": False,
                "splits": {},
                "content_hash": "",
                "leaks_mended": 0,
            }
            await connection.execute(sa.insert(datasets).values(row))
        return await self.get(tenant, name, row["version"])

    async def add(self, version: DatasetVersion, new: Sequence[Example]) -> int:
        rows = [_row(version, one) for one in new]
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            await _refuse_sealed(connection, version)
            before = await _count(connection, version)
            for start in range(0, len(rows), ROWS_AT_ONCE):
                insert = insert_ignore(connection, examples)
                await connection.execute(insert, rows[start : start + ROWS_AT_ONCE])
            return await _count(connection, version) - before

    async def seal(self, version: DatasetVersion, sealing: Sealing) -> DatasetVersion:
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            known = await _first(connection, _is(datasets, version))
            if known is not None and not known.sealed:
                await _split(connection, version, sealing)
                values = {
                    "sealed": True,
                    "splits": sealing.counts,
                    "content_hash": sealing.content_hash,
                    "leaks_mended": sealing.leaks_mended,
                }
                await connection.execute(
                    sa.update(datasets).where(_is(datasets, version)).values(values)
                )
        return await self.get(version.tenant, version.name, version.version)

    async def get(self, tenant: str, name: str, version: int) -> DatasetVersion:
        where = sa.and_(datasets.c.tenant == tenant, datasets.c.name == name)
        if version:
            where = sa.and_(where, datasets.c.version == version)
        order = (datasets.c.sealed.desc(), datasets.c.version.desc())
        async with self._database.reading() as connection:
            found = await _first(connection, where, *order)
            if found is None:
                raise DatasetUnknown(f"{name}@{version}" if version else name)
            return replace(found, examples=await _count(connection, found))

    async def page(
        self, tenant: str, name: str, *, limit: int, after: tuple[str, int] | None
    ) -> list[DatasetVersion]:
        query = sa.select(datasets).where(datasets.c.tenant == tenant)
        if name:
            query = query.where(datasets.c.name == name)
        if after:
            seen, number = after
            query = query.where(
                sa.or_(
                    datasets.c.name > seen,
                    sa.and_(datasets.c.name == seen, datasets.c.version < number),
                )
            )
        query = query.order_by(datasets.c.name, datasets.c.version.desc()).limit(limit)
        async with self._database.reading() as connection:
            found = [_version(row) for row in (await connection.execute(query)).all()]
            return [replace(one, examples=await _count(connection, one)) for one in found]

    async def examples(
        self, version: DatasetVersion, *, split: str = "", limit: int = 0, after: str = ""
    ) -> list[Example]:
        query = sa.select(examples).where(_is(examples, version), examples.c.example_id > after)
        if split:
            query = query.where(examples.c.split == split)
        query = query.order_by(examples.c.example_id)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.limit(limit) if limit else query)).all()
        return [replace(example_from(row.body), split=row.split) for row in rows]


async def _refuse_sealed(connection: AsyncConnection, version: DatasetVersion) -> None:
    known = await _first(connection, _is(datasets, version))
    if known is None:
        raise DatasetUnknown(f"{version.name}@{version.version}")
    if known.sealed:
        raise DatasetSealed(f"{version.name}@{version.version}")


async def _split(connection: AsyncConnection, version: DatasetVersion, sealing: Sealing) -> None:
    by_split: dict[str, list[str]] = {}
    for example_id, split in sealing.splits.items():
        by_split.setdefault(split, []).append(example_id)
    for split, ids in by_split.items():
        for start in range(0, len(ids), ROWS_AT_ONCE):
            some = examples.c.example_id.in_(ids[start : start + ROWS_AT_ONCE])
            update = sa.update(examples).where(_is(examples, version), some)
            await connection.execute(update.values(split=split))


async def _first(
    connection: AsyncConnection, where: sa.ColumnElement[bool], *order: Any
) -> DatasetVersion | None:
    query = sa.select(datasets).where(where).order_by(*order).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return _version(row) if row else None


async def _count(connection: AsyncConnection, version: DatasetVersion) -> int:
    query = sa.select(sa.func.count()).select_from(examples).where(_is(examples, version))
    return int(await connection.scalar(query) or 0)


def _is(table: sa.Table, version: DatasetVersion) -> sa.ColumnElement[bool]:
    return sa.and_(
        table.c.tenant == version.tenant,
        table.c.name == version.name,
        table.c.version == version.version,
    )


def _row(version: DatasetVersion, example: Example) -> dict[str, Any]:
    return {
        "tenant": version.tenant,
        "name": version.name,
        "version": version.version,
        "example_id": example.example_id,
        "split": example.split,
        "body": example.as_json(),
    }


def _version(row: Any) -> DatasetVersion:
    return DatasetVersion(
        tenant=row.tenant,
        name=row.name,
        version=row.version,
        description=row.description,
        author=row.author,
        create_time=datetime.fromtimestamp(row.create_time, UTC),
        sealed=row.sealed,
        splits=row.splits,
        content_hash=row.content_hash,
        leaks_mended=row.leaks_mended,
    )
