"""Honest twins: they keep nothing, and refuse what the real ones refuse."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np

from gyre_retrieval.domain.document import Change, DocumentState, Indexed, Unindexed
from gyre_retrieval.domain.errors import EmbedderMismatch
from gyre_retrieval.domain.identity import DocumentKey, Version
from gyre_retrieval.domain.index import CollectionSummary, Index, InForce, View, index_for
from gyre_retrieval.domain.passage import EmbeddedPassage, Passage
from gyre_retrieval.domain.query import Conditions, Found, Route
from gyre_retrieval.domain.ranking import in_order
from gyre_retrieval.domain.reindex import Wanted
from gyre_retrieval.domain.terms import passage_terms, query_terms
from gyre_retrieval.domain.vector import Vector
from gyre_retrieval.ports import (
    Embedded,
    EmbedderUnknown,
    IndexMissing,
    IndexUnavailable,
    Leaving,
    Serving,
)

K1, B = 1.2, 0.75


class MemoryVectorIndex:
    """`VectorIndex` in a dictionary. down: every call raises `IndexUnavailable` while it is set."""

    def __init__(self) -> None:
        self.down = False
        self.rows: dict[str, dict[tuple[object, ...], EmbeddedPassage]] = {}
        self.aliases: dict[str, str] = {}

    async def store(self, index: Index, passages: Sequence[EmbeddedPassage]) -> None:
        self._answer()
        rows = self.rows.setdefault(index.name, {})
        self.aliases.setdefault(index.alias, index.name)
        for embedded in passages:
            if embedded.vector.shape != (index.dimension,):
                raise ValueError(f"the index takes vectors of {index.dimension} numbers")
            passage = embedded.passage
            rows[passage.document, passage.version, passage.chunk.chunk_id] = embedded

    async def remove(self, index: Index, leavings: Sequence[Leaving]) -> None:
        self._answer()
        gone = {(leaving.document, leaving.version) for leaving in leavings}
        kept = {
            key: row for key, row in self.rows.get(index.name, {}).items() if key[:2] not in gone
        }
        if index.name in self.rows:
            self.rows[index.name] = kept

    async def search(
        self,
        index: Index,
        route: Route,
        probe: Vector | str,
        conditions: Conditions,
        limit: int,
    ) -> list[Found]:
        rows = self._rows(index)
        allowed = [row for row in rows if conditions.allow(row.passage)]
        if isinstance(probe, str):
            found = _by_words(
                probe, [row.passage for row in rows], [row.passage for row in allowed]
            )
        else:
            found = [Found(row.passage, float(np.dot(row.vector, probe))) for row in allowed]
        return in_order(found)[:limit]

    async def find(self, index: Index, conditions: Conditions, chunk_id: str) -> list[Found]:
        return [
            Found(row.passage, 0.0)
            for row in self._rows(index)
            if row.passage.chunk.chunk_id == chunk_id and conditions.allow(row.passage)
        ]

    async def make(self, index: Index) -> None:
        await self.store(index, ())

    async def passages(self, index: Index, wanted: Sequence[Wanted]) -> list[Passage]:
        versions = {(one.document, one.version) for one in wanted}
        passages = [row.passage for row in self._rows(index)]
        return [one for one in passages if (one.document, one.version) in versions]

    async def names(self) -> frozenset[str]:
        self._answer()
        return frozenset(self.rows)

    async def drop(self, name: str) -> None:
        self._answer()
        self.rows.pop(name, None)

    async def point(self, index: Index) -> None:
        self._answer()
        self.aliases[index.alias] = index.name

    async def check(self) -> None:
        self._answer()

    def _rows(self, index: Index) -> list[EmbeddedPassage]:
        self._answer()
        if index.name not in self.rows:
            raise IndexMissing(index.name)
        return list(self.rows[index.name].values())

    def _answer(self) -> None:
        if self.down:
            raise IndexUnavailable("the index in memory is switched off")


class MemoryCatalogue:
    """`Catalogue` in dictionaries; said: the facts in the order of their commits."""

    def __init__(self) -> None:
        self.said: list[Indexed | Unindexed] = []
        self._states: dict[DocumentKey, DocumentState] = {}
        self._generations: dict[DocumentKey, int] = {}
        self._collections: dict[tuple[str, str], int] = {}
        self._indexes: dict[str, Index] = {}
        self._leavings: dict[Leaving, float] = {}
        self._clock = itertools.count(1.0)
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def changing(self, document: DocumentKey) -> AsyncIterator[MemoryRecord]:
        async with self._lock:
            index = self._indexes.get(document.collection)
            record = MemoryRecord(self._states.get(document, DocumentState(document)), index)
            yield record
            self._collections.setdefault((document.tenant, document.collection), 0)
            for change in record.changes:
                self._commit(change)

    async def document(self, document: DocumentKey) -> DocumentState:
        return self._states.get(document, DocumentState(document))

    async def claim_index(self, collection: str, embedder: str, dimension: int) -> Index:
        fresh = index_for(collection, embedder, dimension)
        index = self._indexes.setdefault(collection, fresh)
        if index.embedder == embedder and index.dimension != dimension:
            raise EmbedderMismatch(f"{embedder} with {dimension} numbers", embedder)
        return index

    async def indexes(self, collection: str) -> list[Index]:
        return [self._indexes[collection]] if collection in self._indexes else []

    async def index(self, collection: str, name: str) -> Index | None:
        return next((one for one in await self.indexes(collection) if one.name == name), None)

    async def make_collection(self, tenant: str, collection: str) -> None:
        self._collections.setdefault((tenant, collection), 0)

    async def view(self, tenant: str, collection: str) -> View | None:
        generation = self._collections.get((tenant, collection))
        return None if generation is None else View(self._indexes.get(collection), generation)

    async def in_force(
        self, tenant: str, collection: str, document_ids: Sequence[str]
    ) -> Mapping[str, InForce]:
        keys = (DocumentKey(tenant, collection, document_id) for document_id in document_ids)
        return {
            key.document_id: InForce(
                state.in_force.version.revision,
                state.in_force.version.attempt,
                self._generations[key],
            )
            for key in keys
            if (state := self._states.get(key)) and state.in_force
        }

    async def look(
        self, tenant: str, collection: str, document_ids: Sequence[str]
    ) -> tuple[View | None, Mapping[str, InForce]]:
        view = await self.view(tenant, collection)
        return view, await self.in_force(tenant, collection, document_ids)

    async def collections(self, tenant: str) -> list[CollectionSummary]:
        counts: dict[str, list[int]] = {
            name: [] for owner, name in self._collections if owner == tenant
        }
        for key, state in self._states.items():
            if key.tenant == tenant and state.in_force:
                counts[key.collection].append(state.in_force.chunk_count)
        return [
            CollectionSummary(name, len(chunks), sum(chunks), self._indexes.get(name))
            for name, chunks in sorted(counts.items())
        ]

    async def leavings(self, limit: int) -> list[Leaving]:
        found = sorted(self._leavings.items(), key=lambda pair: pair[1])
        return [replace(leaving, since=since) for leaving, since in found[:limit]]

    async def leave(self, document: DocumentKey, version: Version) -> None:
        self._leavings[Leaving(document, version)] = next(self._clock)

    async def forget(self, leavings: Sequence[Leaving]) -> None:
        for leaving in leavings:
            if self._leavings.get(leaving) == leaving.since:
                del self._leavings[leaving]

    def _commit(self, change: Change) -> None:
        document = change.state.document
        self._states[document] = change.state
        self._leavings |= {Leaving(document, gone): next(self._clock) for gone in change.leavings}
        self.said.extend(change.facts)
        if change.facts:
            place = document.tenant, document.collection
            self._collections[place] += 1
            self._generations[document] = self._collections[place]


class MemoryRecord:
    """`DocumentRecord` of the catalogue in memory."""

    def __init__(self, state: DocumentState, index: Index | None) -> None:
        self.state = state
        self.changes: list[Change] = []
        self._index = index

    async def serving(self) -> Serving | None:
        return Serving(self._index, 0.0) if self._index else None

    async def apply(self, change: Change) -> None:
        self.state = change.state
        self.changes.append(change)


class MemoryEmbedder:
    """`QueryEmbedder` and `PassageEmbedder` by functions from text to vector, made to unit length.

    others: further embedders by name; a name that is not known is taken for the first one, as by
    an embedding service that has one. away: what is raised instead, while it is set.
    """

    def __init__(
        self,
        embedder: str,
        vector_of: Callable[[str], Sequence[float]],
        others: Mapping[str, Callable[[str], Sequence[float]]] | None = None,
    ) -> None:
        self._embedder = embedder
        self._vectors = {embedder: vector_of, **(others or {})}
        self.away: Exception | None = None

    async def embed(self, text: str, embedder: str) -> Embedded:
        known = embedder if embedder in self._vectors else self._embedder
        return Embedded(self._vector(text, known), known)

    async def embed_passages(self, texts: Sequence[str], embedder: str) -> list[Vector]:
        if self.away is not None:
            raise self.away
        if embedder not in self._vectors:
            raise EmbedderUnknown(f"no embedder {embedder!r} is loaded")
        return [self._vector(text, embedder) for text in texts]

    def _vector(self, text: str, embedder: str) -> Vector:
        vector = np.asarray(self._vectors[embedder](text), dtype=np.float32)
        return vector / np.linalg.norm(vector)


def _by_words(query: str, corpus: Sequence[Passage], allowed: Sequence[Passage]) -> list[Found]:
    """BM25 as Milvus Lite counts it: frequencies over all rows, whoever's they are."""
    counts = {id(passage): Counter(passage_terms(passage)) for passage in corpus}
    frequency: dict[str, int] = defaultdict(int)
    for terms in counts.values():
        for term in terms:
            frequency[term] += 1
    average = sum(sum(terms.values()) for terms in counts.values()) / max(len(counts), 1) or 1.0
    found = []
    for passage in allowed:
        terms = counts[id(passage)]
        norm = K1 * (1 - B + B * sum(terms.values()) / average)
        score = sum(
            math.log((len(counts) - frequency[term] + 0.5) / (frequency[term] + 0.5) + 1)
            * terms[term]
            * (K1 + 1)
            / (terms[term] + norm)
            for term in query_terms(query)
            if term in terms
        )
        if score > 0:
            found.append(Found(passage, score))
    return found
