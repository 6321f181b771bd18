"""What a thing came from, what came from it, and how that becomes known."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from gyre_retraining.domain.lineage import (
    Direction,
    Edge,
    Kind,
    Node,
    Thing,
    ThingUnknown,
    Trace,
    answer_facts,
    dataset_facts,
    judgement_facts,
    review_facts,
    served,
    thing_of,
)
from gyre_retraining.domain.sources import Judgement, RecordedAnswer, Review
from gyre_retraining.lineage_ports import DatasetSources, LineageStore

DEFAULT_LIMIT, LIMIT = 1000, 10_000
AT_ONCE = 200
PAGE = 2000
EDGES_A_NODE = 40


class RecordLineage:
    """Writes down what came from what. Every method may be repeated."""

    def __init__(self, store: LineageStore, sources: DatasetSources) -> None:
        self._store = store
        self._sources = sources

    async def answer(self, tenant: str, answer: RecordedAnswer) -> None:
        """Before the event is applied, in a handler."""
        facts = answer_facts(
            answer.answer_id,
            _moment(answer.time),
            models=[served(answer.model, answer.model_version)] if answer.model else [],
            user=answer.end_user,
            shown=[(one.chunk_id, one.document_id) for one in answer.passages],
        )
        await self._store.write(tenant, facts)

    async def judgement(self, tenant: str, judgement: Judgement) -> None:
        """Before the event is applied, in a handler."""
        facts = judgement_facts(
            judgement.judgement_id,
            _moment(judgement.time),
            metric=judgement.metric,
            answer_id=judgement.answer_id,
            user=judgement.rater,
            chunk=judgement.chunk_id,
        )
        await self._store.write(tenant, facts)

    async def review(self, tenant: str, review: Review) -> None:
        """Before the event is applied, in a handler."""
        moment = _moment(review.time)
        facts = review_facts(review.review_id, moment, answer_id=review.answer_id)
        await self._store.write(tenant, facts)

    async def forget_user(self, tenant: str, end_user: str, moment: float) -> None:
        """Erased up to that moment."""
        await self._store.forget(tenant, Thing(Kind.USER, end_user), _moment(moment))

    async def dataset(
        self, tenant: str, dataset_id: str, time: datetime, form: str, folder: Path
    ) -> None:
        """folder: the assembled dataset; its `lineage.parquet` is read."""
        async for piece in self._sources.sources(folder):
            await self._store.write(tenant, dataset_facts(dataset_id, time, form, piece))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


class TraceLineage:
    """Walks from a thing, nearest first, until nothing is left or the limit is reached."""

    def __init__(self, store: LineageStore) -> None:
        self._store = store

    async def trace(
        self,
        tenant: str,
        kind: str,
        id: str,
        direction: Direction = Direction.BACK,
        limit: int = 0,
    ) -> Trace:
        """limit: things, the one that was asked for included; 0 means 1000.
        Raises `LineageInvalid` and `ThingUnknown`."""
        start = thing_of(kind, id)
        if not await self._knows(tenant, start):
            raise ThingUnknown(f"{start.kind} {start.id}")
        walk = Walk(self._store, tenant, direction, min(limit or DEFAULT_LIMIT, LIMIT))
        await walk.go(start)
        return await walk.trace()

    async def _knows(self, tenant: str, thing: Thing) -> bool:
        if await self._store.nodes(tenant, [thing]):
            return True
        for direction in Direction:
            if await self._store.next(tenant, [thing], direction, 1):
                return True
        return False


class Walk:
    """One walk: what was reached, in the order in which it was."""

    def __init__(self, store: LineageStore, tenant: str, direction: Direction, limit: int) -> None:
        self._store, self._tenant = store, tenant
        self._direction, self._limit = direction, limit
        self._places: dict[Thing, int] = {}
        self._edges: list[Edge] = []
        self._truncated = False

    async def go(self, start: Thing) -> None:
        self._places[start] = 0
        fringe = [start]
        while fringe and not self._truncated:
            reached: list[Thing] = []
            for first in range(0, len(fringe), AT_ONCE):
                reached += await self._step(fringe[first : first + AT_ONCE])
            fringe = reached

    async def _step(self, things: list[Thing]) -> list[Thing]:
        """Things that were not reached before."""
        reached: list[Thing] = []
        last: Edge | None = None
        while not self._truncated:
            page = await self._store.next(self._tenant, things, self._direction, PAGE, last)
            reached += self._take(page)
            if len(page) < PAGE:
                break
            last = page[-1]
            self._truncated |= len(self._edges) > self._limit * EDGES_A_NODE
        return reached

    def _take(self, edges: list[Edge]) -> list[Thing]:
        reached = []
        for edge in edges:
            thing = edge.earlier if self._direction is Direction.BACK else edge.later
            if thing not in self._places:
                if len(self._places) == self._limit:
                    self._truncated = True
                    continue
                self._places[thing] = len(self._places)
                reached.append(thing)
            self._edges.append(edge)
        return reached

    async def trace(self) -> Trace:
        nodes: dict[Thing, Node] = {}
        things = list(self._places)
        for first in range(0, len(things), AT_ONCE):
            some = things[first : first + AT_ONCE]
            nodes |= await self._store.nodes(self._tenant, some)
        edges = [
            (self._places[edge.later], self._places[edge.earlier], edge.relation)
            for edge in self._edges
        ]
        known = tuple(nodes.get(thing, Node(thing)) for thing in things)
        return Trace(known, tuple(edges), self._truncated)
