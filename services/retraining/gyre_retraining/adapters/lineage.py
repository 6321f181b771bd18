"""What came from what, in the service's database; and what a dataset's rows were made of."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from gyre_runtime.database import Database
from gyre_runtime.database.transaction import insert_ignore, upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gyre_retraining.adapters.lineage_tables import edges, forgotten, nodes
from gyre_retraining.domain.lineage import Direction, Edge, Facts, Kind, Node, Thing

AT_ONCE, PIECE = 500, 5000
FILE = "lineage.parquet"
ORDER = (edges.c.later_kind, edges.c.later_id, edges.c.earlier_kind, edges.c.earlier_id)
ERASED = frozenset({Kind.USER, Kind.DOCUMENT, Kind.ANSWER})


class DatabaseLineageStore:
    """`LineageStore` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, tenant: str, facts: Facts) -> None:
        # Aside: in a handler the event's own transaction comes after it, and a repeat is nothing.
        async with self._database.transaction(aside=True) as transaction:
            await write_facts(transaction.connection, tenant, facts)

    async def next(
        self,
        tenant: str,
        things: Sequence[Thing],
        direction: Direction,
        limit: int,
        after: Edge | None = None,
    ) -> list[Edge]:
        side = "later" if direction is Direction.BACK else "earlier"
        query = sa.select(edges).where(edges.c.tenant == tenant, _any(edges, things, f"{side}_"))
        if after is not None:
            row = _edge_row(tenant, after)
            query = query.where(sa.tuple_(*ORDER) > tuple(row[one.name] for one in ORDER))
        query = query.order_by(*ORDER)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.limit(limit))).all()
        return [_edge(row) for row in rows]

    async def nodes(self, tenant: str, things: Sequence[Thing]) -> dict[Thing, Node]:
        if not things:
            return {}
        query = sa.select(nodes).where(nodes.c.tenant == tenant, _any(nodes, things))
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return {one.thing: one for one in map(_node, rows)}

    async def forget(self, tenant: str, thing: Thing, moment: datetime) -> None:
        async with self._database.transaction(aside=True) as transaction:
            await forget(transaction.connection, tenant, thing, moment)


class ParquetDatasetSources:
    """`DatasetSources`: reads the `lineage.parquet` beside a dataset's rows."""

    async def sources(self, folder: Path) -> AsyncIterator[list[tuple[str, str]]]:
        for piece in await asyncio.to_thread(_pairs, folder / FILE):
            yield piece


async def write_facts(connection: AsyncConnection, tenant: str, facts: Facts) -> None:
    """For a transaction that has more to write. A repeat changes nothing."""
    facts = facts.without(await _gone(connection, tenant, facts))
    for node in facts.nodes:
        await _describe(connection, tenant, node)
    for some in _pieces([_edge_row(tenant, one) for one in facts.edges]):
        await connection.execute(insert_ignore(connection, edges), some)


async def forget(connection: AsyncConnection, tenant: str, thing: Thing, moment: datetime) -> int:
    """For a transaction that has more to erase; how many edges."""
    ends = sa.or_(*(_any(edges, [thing], f"{side}_") for side in ("later", "earlier")))
    mark = {"mark": _mark(tenant, thing), "moment": moment.timestamp()}
    await connection.execute(upsert(connection, forgotten, ["moment"]), mark)
    gone = await connection.execute(sa.delete(edges).where(edges.c.tenant == tenant, ends))
    mine = sa.and_(nodes.c.tenant == tenant, _any(nodes, [thing]))
    await connection.execute(sa.delete(nodes).where(mine))
    return gone.rowcount


async def _describe(connection: AsyncConnection, tenant: str, node: Node) -> None:
    """Adds what is new about a thing."""
    row = _node_row(tenant, node)
    told = [name for name in ("label", "time") if row[name]]
    write = upsert(connection, nodes, told) if told else insert_ignore(connection, nodes)
    await connection.execute(write, row)


async def _gone(connection: AsyncConnection, tenant: str, facts: Facts) -> set[Thing]:
    """Things of these facts that were erased since."""
    if facts.time is None:
        return set()
    marks = {_mark(tenant, one): one for one in facts.things if one.kind in ERASED}
    query = sa.select(forgotten.c.mark).where(
        forgotten.c.mark.in_(marks), forgotten.c.moment >= facts.time.timestamp()
    )
    return {marks[one] for one in await connection.scalars(query)} if marks else set()


def _mark(tenant: str, thing: Thing) -> str:
    return hashlib.sha256(f"{tenant}\0{thing.kind}\0{thing.id}".encode()).hexdigest()


def _pairs(file: Path) -> list[list[tuple[str, str]]]:
    import pyarrow.parquet  # here: it takes a tenth of the start

    found: dict[tuple[str, str], None] = {}
    with pyarrow.parquet.ParquetFile(file) as table:
        for batch in table.iter_batches(columns=["kind", "id"]):
            kinds, ids = (batch.column(name).to_pylist() for name in ("kind", "id"))
            found.update(dict.fromkeys(zip(kinds, ids, strict=True)))
    pairs = list(found)
    return [pairs[start : start + PIECE] for start in range(0, len(pairs), PIECE)] or [[]]


def _any(table: sa.Table, things: Sequence[Thing], prefix: str = "") -> sa.ColumnElement[bool]:
    """Kind by kind: a list of ids is an index's own question."""
    kind, id = table.c[f"{prefix}kind"], table.c[f"{prefix}id"]
    by_kind: dict[Kind, list[str]] = {}
    for one in things:
        by_kind.setdefault(one.kind, []).append(one.id)
    return sa.or_(*(sa.and_(kind == name, id.in_(ids)) for name, ids in by_kind.items()))


def _pieces(rows: list[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    return (rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE))


def _edge_row(tenant: str, edge: Edge) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "later_kind": edge.later.kind.value,
        "later_id": edge.later.id,
        "earlier_kind": edge.earlier.kind.value,
        "earlier_id": edge.earlier.id,
        "relation": edge.relation,
    }


def _node_row(tenant: str, node: Node) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "kind": node.thing.kind.value,
        "id": node.thing.id,
        "label": node.label,
        "time": node.time.timestamp() if node.time else None,
    }


def _edge(row: Any) -> Edge:
    later = Thing(Kind(row.later_kind), row.later_id)
    return Edge(later, Thing(Kind(row.earlier_kind), row.earlier_id), row.relation)


def _node(row: Any) -> Node:
    time = None if row.time is None else datetime.fromtimestamp(row.time, UTC)
    return Node(Thing(Kind(row.kind), row.id), row.label, time)
