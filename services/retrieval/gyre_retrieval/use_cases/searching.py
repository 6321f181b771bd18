"""A question in, passages out: only of the caller's tenant, only of versions in force."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from gyre_retrieval.domain.errors import CollectionUnknown, EmbedderMismatch, IndexUnknown
from gyre_retrieval.domain.helpfulness import lifted
from gyre_retrieval.domain.index import Index, InForce, View
from gyre_retrieval.domain.query import Answer, Conditions, Found, Hit, Mode, Query, Route
from gyre_retrieval.domain.ranking import Fusion, hits_of, in_order
from gyre_retrieval.domain.vector import Vector
from gyre_retrieval.ports import (
    Catalogue,
    Helpfulness,
    IndexMissing,
    IndexUnavailable,
    QueryEmbedder,
    VectorIndex,
)

LARGEST_FETCH = 16_000
RACES = 5
REMEMBERED = 0.5

Probes = Mapping[Route, Vector | str]
Rankings = dict[Route, list[Found]]


@dataclass(frozen=True, slots=True)
class _Look:
    """Everything one try needs. index: where is searched; the view's, or one that is compared."""

    view: View
    index: Index
    conditions: Conditions
    probes: Probes
    wanted: int


class Signal:
    """What people thought moves the hits of a search, by `weight`."""

    def __init__(self, helpfulness: Helpfulness, weight: float) -> None:
        self._helpfulness, self._weight = helpfulness, weight

    async def applied(self, tenant: str, hits: list[Hit]) -> list[Hit]:
        """Best first."""
        known = await self._helpfulness.of(tenant, [hit.passage.chunk.chunk_id for hit in hits])
        return lifted(hits, known, self._weight)


class SearchPassages:
    """Look at the catalogue, ask the routes, look at every hit, fuse.

    Between two looks at the catalogue a version may come into force whose passages the routes were
    asked for too early, while those of the version before are no longer allowed. Then the search
    is repeated: there is no moment in which neither is found. The first look is remembered from the
    search before, for half a second: an old one makes a repetition more likely, never a wrong
    answer. Where another index came into use meanwhile, the query is embedded anew: a query's
    embedder is always its index's.

    watch: called with every query and its answer; must be quick.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        index: VectorIndex,
        embedder: QueryEmbedder,
        fusion: Fusion,
        signal: Signal | None = None,
        *,
        watch: Callable[[Query, Answer], None] | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._index = index
        self._embedder = embedder
        self._fusion = fusion
        self._signal = signal
        self._watch = watch
        self._views: dict[tuple[str, str], tuple[float, View]] = {}

    async def search(self, query: Query) -> Answer:
        """Raises `CollectionUnknown`, `EmbedderMismatch`, and what the ports raise."""
        for _ in range(RACES):
            view = await self._view(query.conditions)
            if view.index is None:
                return Answer((), "", 0.0, 0.0)
            answer = await self._answer(query, view, view.index)
            if answer is not None:
                if self._watch is not None:
                    self._watch(query, answer)
                return answer
        raise IndexUnavailable("the collection's index changed again and again")

    async def search_named(self, query: Query, name: str) -> Answer:
        """As `search`, in an index that is filled, or kept, beside the one in use.

        Raises `IndexUnknown` for any other.
        """
        await self._view(query.conditions)
        index = await self._catalogue.index(query.conditions.collection, name)
        if index is None:
            raise IndexUnknown(name)
        try:
            return await self.search_in(query, index)
        except IndexMissing as error:  # dropped meanwhile
            raise IndexUnknown(name) from error

    async def search_in(self, query: Query, index: Index) -> Answer:
        """As `search`, in an index that need not be in use. Raises `IndexMissing` too."""
        for _ in range(RACES):
            view = await self._view(query.conditions)
            answer = await self._answer(query, view, index)
            if answer is not None:
                return answer
        raise IndexUnavailable("the collection's index changed again and again")

    async def _answer(self, query: Query, view: View, index: Index) -> Answer | None:
        """None where another index is in use now than the view says."""
        started = time.perf_counter()
        probes = await self._probes(query, index)
        embedded = time.perf_counter()
        rankings = await self._rankings(query, view, index, probes)
        if rankings is None:
            return None
        hits = hits_of(query.mode, rankings, self._fusion)
        if self._signal is not None:
            hits = await self._signal.applied(query.conditions.tenant, hits)
        kept = tuple(hit for hit in hits if hit.score >= query.minimum_score)
        seconds = time.perf_counter() - embedded
        return Answer(kept[: query.top_k], index.name, embedded - started, seconds)

    async def _view(self, conditions: Conditions) -> View:
        place = conditions.tenant, conditions.collection
        since, known = self._views.get(place, (0.0, None))
        if known is not None and time.monotonic() - since < REMEMBERED:
            return known
        view = await self._catalogue.view(*place)
        if view is None:
            raise CollectionUnknown(conditions.collection)
        self._remember(conditions, view)
        return view

    def _remember(self, conditions: Conditions, view: View) -> None:
        if view.index is not None:
            place = conditions.tenant, conditions.collection
            self._views[place] = time.monotonic(), view

    async def _probes(self, query: Query, index: Index) -> Probes:
        probes: dict[Route, Vector | str] = {}
        if Route.DENSE in query.mode.routes:
            embedded = await self._embedder.embed(query.text, index.embedder)
            if embedded.embedder != index.embedder or len(embedded.vector) != index.dimension:
                raise EmbedderMismatch(embedded.embedder, index.embedder)
            probes[Route.DENSE] = embedded.vector
        if Route.LEXICAL in query.mode.routes:
            probes[Route.LEXICAL] = query.text
        return probes

    async def _rankings(
        self, query: Query, view: View, index: Index, probes: Probes
    ) -> Rankings | None:
        wanted = query.top_k
        if query.mode is Mode.HYBRID:
            wanted = max(wanted, self._fusion.depth)
        for _ in range(RACES):
            look = _Look(view, index, query.conditions, probes, wanted)
            rankings, after, overtaken = await self._look(look)
            if after.index != view.index:
                return None
            if not overtaken:
                break
            view = after
        return rankings

    async def _look(self, look: _Look) -> tuple[Rankings, View, bool]:
        """What may be seen, the view after it, and whether something came into force meanwhile.

        Rows that may not be seen must not push out those that may: a route is asked for more
        until it gives enough. At first it is asked for one more than wanted, the least that can
        show that the last one wanted has no equal: every row more costs Milvus Lite as much.
        """
        limits = dict.fromkeys(look.probes, look.wanted + 1)
        fetched: dict[Route, list[Found]] = {}
        while limits:
            fetched |= await self._fetch(look, limits)
            after, current = await self._again(look.conditions, fetched.values())
            seen = {
                route: in_order(one for one in found if _visible(one, look.conditions, current))
                for route, found in fetched.items()
            }
            limits = {
                route: min(limit * 2, LARGEST_FETCH)
                for route, limit in limits.items()
                if not _enough(seen[route], fetched[route], limit, look.wanted)
            }
        rankings = {route: found[: look.wanted] for route, found in seen.items()}
        return rankings, after, _overtaken(current, look.view)

    async def _fetch(self, look: _Look, limits: Mapping[Route, int]) -> Rankings:
        found = await asyncio.gather(
            *(
                self._index.search(look.index, route, look.probes[route], look.conditions, limit)
                for route, limit in limits.items()
            )
        )
        return dict(zip(limits, found, strict=True))

    async def _again(
        self, conditions: Conditions, fetched: Iterable[list[Found]]
    ) -> tuple[View, Mapping[str, InForce]]:
        documents = {one.passage.document.document_id for found in fetched for one in found}
        place = conditions.tenant, conditions.collection
        view, held = await self._catalogue.look(*place, sorted(documents))
        if view is None:
            raise CollectionUnknown(conditions.collection)
        self._remember(conditions, view)
        return view, held


def _visible(found: Found, conditions: Conditions, current: Mapping[str, InForce]) -> bool:
    passage = found.passage
    held = current.get(passage.document.document_id)
    if held is None or not conditions.allow(passage):
        return False
    return (held.revision, held.attempt) == (passage.version.revision, passage.version.attempt)


def _enough(seen: list[Found], fetched: list[Found], limit: int, wanted: int) -> bool:
    """Whether the list is whole, or its wanted part is clear of ties with what was not fetched."""
    if len(fetched) < limit or limit >= LARGEST_FETCH:
        return True
    return len(seen) >= wanted and seen[wanted - 1].score > fetched[-1].score


def _overtaken(current: Mapping[str, InForce], view: View) -> bool:
    return any(held.generation > view.generation for held in current.values())
