"""Passages in Milvus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from gyre_retrieval.adapters.milvus import filters
from gyre_retrieval.adapters.milvus.client import MilvusCalls, NotLoaded
from gyre_retrieval.adapters.milvus.gathering import Gathering, Row
from gyre_retrieval.adapters.milvus.rows import passage_of, row_of
from gyre_retrieval.adapters.milvus.schema import IndexSettings, make_collection
from gyre_retrieval.adapters.milvus.vendor import AsyncMilvusClient, MilvusClient
from gyre_retrieval.domain.index import Index
from gyre_retrieval.domain.passage import EmbeddedPassage, Passage
from gyre_retrieval.domain.query import Conditions, Found, Route
from gyre_retrieval.domain.reindex import Wanted
from gyre_retrieval.domain.terms import query_terms
from gyre_retrieval.domain.vector import Vector
from gyre_retrieval.ports import IndexMissing, IndexUnavailable, Leaving

Result = TypeVar("Result")

AT_ONCE = 500
FIELDS = {Route.DENSE: "dense", Route.LEXICAL: "lexical"}
METRICS = {Route.DENSE: "COSINE", Route.LEXICAL: "BM25"}
# Scores of equal passages differ in the last bits from segment to segment.
DIGITS = 5


class MilvusVectorIndex:
    """`VectorIndex` on Milvus.

    One writer: Milvus Lite's collections bear no concurrent writes. window: seconds in which
    writes are gathered before one flush serves them all.
    """

    def __init__(
        self,
        uri: str,
        *,
        token: str = "",
        timeout: float = 5.0,
        write_timeout: float = 60.0,
        window: float = 0.02,
        settings: IndexSettings | None = None,
    ) -> None:
        self._calls = MilvusCalls(uri, token, timeout=timeout, write_timeout=write_timeout)
        self._settings = settings or IndexSettings()
        self._window = window
        self._writer = asyncio.Lock()
        self._made: set[str] = set()
        self._gatherings: dict[str, Gathering] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for gathering in self._gatherings.values():
            await gathering.close()
        await self._calls.close()

    async def store(self, index: Index, passages: Sequence[EmbeddedPassage]) -> None:
        rows = await asyncio.to_thread(lambda: [row_of(passage) for passage in passages])
        if rows:
            await self._gathering(index).add(rows)

    async def remove(self, index: Index, leavings: Sequence[Leaving]) -> None:
        """Flushed too, so that what was deleted does not come back after a power failure."""
        expression = filters.versions_filter(leavings)

        def delete(client: MilvusClient) -> None:
            if not client.has_collection(index.name, timeout=self._calls.timeout):
                return
            timeout = self._calls.write_timeout
            client.delete(index.name, filter=expression, timeout=timeout)
            client.flush(index.name, timeout=timeout)

        async with self._writer:
            await self._loaded(index, lambda: self._calls.write(delete))

    async def search(
        self,
        index: Index,
        route: Route,
        probe: Vector | str,
        conditions: Conditions,
        limit: int,
    ) -> list[Found]:
        data = " ".join(query_terms(probe)) if isinstance(probe, str) else probe
        if isinstance(data, str) and not data:
            return []

        async def search(client: AsyncMilvusClient) -> list[Found]:
            hits = await client.search(
                index.name,
                [data],
                anns_field=FIELDS[route],
                filter=filters.scope_filter(conditions),
                limit=limit,
                output_fields=["payload"],
                search_params={"metric_type": METRICS[route], "params": self._tuning(route, limit)},
                timeout=self._calls.timeout,
            )
            return [
                Found(passage_of(hit["entity"]["payload"]), _score(route, hit["distance"]))
                for hit in hits[0]
            ]

        return await self._loaded(index, lambda: self._calls.read(search))

    async def find(self, index: Index, conditions: Conditions, chunk_id: str) -> list[Found]:
        expression = filters.scope_filter(conditions, chunk_id=chunk_id)

        async def query(client: AsyncMilvusClient) -> list[Found]:
            rows = await client.query(
                index.name, expression, output_fields=["payload"], timeout=self._calls.timeout
            )
            return [Found(passage_of(row["payload"]), 0.0) for row in rows]

        return await self._loaded(index, lambda: self._calls.read(query))

    async def make(self, index: Index) -> None:
        async with self._writer:
            await self._make(index)

    async def passages(self, index: Index, wanted: Sequence[Wanted]) -> list[Passage]:
        versions = {(one.document, one.version) for one in wanted}
        expression = filters.versions_filter(Leaving(*version) for version in versions)

        async def query(client: AsyncMilvusClient) -> list[Passage]:
            rows = await client.query(
                index.name,
                expression,
                output_fields=["payload"],
                timeout=self._calls.write_timeout,
            )
            found = [passage_of(row["payload"]) for row in rows]
            return [one for one in found if (one.document, one.version) in versions]

        call = partial(self._calls.read, query, timeout=self._calls.write_timeout)
        return await self._loaded(index, call)

    async def names(self) -> frozenset[str]:
        timeout = self._calls.timeout
        return frozenset(
            await self._calls.read(lambda client: client.list_collections(timeout=timeout))
        )

    async def drop(self, name: str) -> None:
        """Milvus refuses it for a collection that an alias names; whoever points that alias
        elsewhere does so before the index is out of use."""

        def drop(client: MilvusClient) -> None:
            timeout = self._calls.write_timeout
            if not client.has_collection(name, timeout=timeout):
                return
            for alias in client.list_aliases(name, timeout=timeout)["aliases"]:
                client.drop_alias(alias, timeout=timeout)
            client.drop_collection(name, timeout=timeout)

        async with self._writer:
            await self._calls.write(drop)
            self._made.discard(name)

    async def point(self, index: Index) -> None:
        def point(client: MilvusClient) -> None:
            timeout = self._calls.timeout
            if _named_by(client, index.alias, timeout) is None:
                client.create_alias(index.name, index.alias, timeout=timeout)
            else:
                client.alter_alias(index.name, index.alias, timeout=timeout)

        async with self._writer:
            await self._calls.write(point)

    async def check(self) -> None:
        timeout = self._calls.timeout
        await self._calls.read(lambda client: client.get_server_version(timeout=timeout))
        await self._calls.write(lambda client: client.get_server_version(timeout=timeout))

    def _gathering(self, index: Index) -> Gathering:
        if index.name not in self._gatherings:

            async def write(rows: list[Row]) -> None:
                await self._write(index, rows)

            self._gatherings[index.name] = Gathering(write, window=self._window, largest=1000)
        return self._gatherings[index.name]

    async def _write(self, index: Index, rows: list[Row]) -> None:
        async with self._writer:
            await self._make(index)
            try:
                await self._upsert(index, rows)
            except IndexMissing:
                self._made.discard(index.name)
                await self._make(index)
                await self._upsert(index, rows)

    async def _upsert(self, index: Index, rows: list[Row]) -> None:
        timeout = self._calls.write_timeout
        batches = [rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]
        for some in batches:
            await self._calls.write(partial(_upsert, index, some, timeout))
        await self._calls.write(lambda client: client.flush(index.name, timeout=timeout))
        for some in batches:
            await self._see(index, [row["id"] for row in some])

    async def _see(self, index: Index, keys: list[str]) -> None:
        """The strong read makes every query node catch up, so that later searches find the rows."""
        expression = filters.one_of("id", keys)

        def query(client: MilvusClient) -> list[dict[str, Any]]:
            return list(
                client.query(
                    index.name,
                    expression,
                    output_fields=["id"],
                    consistency_level="Strong",
                    timeout=self._calls.write_timeout,
                )
            )

        seen = await self._loaded(index, lambda: self._calls.write(query))
        if len(seen) < len(set(keys)):
            raise IndexUnavailable(f"Milvus shows {len(seen)} of {len(keys)} rows after a flush")

    async def _make(self, index: Index) -> None:
        if index.name in self._made:
            return

        def make(client: MilvusClient) -> None:
            timeout = self._calls.write_timeout
            if not client.has_collection(index.name, timeout=timeout):
                make_collection(client, index, self._settings, timeout)
            client.load_collection(index.name, timeout=timeout)
            # One that names another index stays: this one may be filled beside it.
            if _named_by(client, index.alias, timeout) is None:
                client.create_alias(index.name, index.alias, timeout=timeout)

        await self._calls.write(make)
        self._made.add(index.name)

    async def _loaded(self, index: Index, call: Callable[[], Awaitable[Result]]) -> Result:
        """Loads the collection where Milvus came back without it, and calls again."""
        try:
            return await call()
        except NotLoaded:
            timeout = self._calls.timeout
            await self._calls.read(
                lambda client: client.load_collection(index.name, timeout=timeout)
            )
            return await call()

    def _tuning(self, route: Route, limit: int) -> dict[str, int]:
        if route is Route.DENSE and self._settings.dense == "HNSW":
            return {"ef": max(64, 2 * limit)}
        return {}


def _upsert(index: Index, rows: list[Row], timeout: float, client: MilvusClient) -> None:
    client.upsert(index.name, rows, timeout=timeout)


def _score(route: Route, distance: float) -> float:
    """Milvus Lite 3.2 gives BM25 with the sign turned round, Milvus does not."""
    return round(abs(distance) if route is Route.LEXICAL else distance, DIGITS)


def _named_by(client: MilvusClient, alias: str, timeout: float) -> str | None:
    """The collection that an alias names. It is a name for people and tools; which index is
    searched is the catalogue's word."""
    if alias not in client.list_aliases(timeout=timeout)["aliases"]:
        return None
    return str(client.describe_alias(alias, timeout=timeout)["collection_name"])
