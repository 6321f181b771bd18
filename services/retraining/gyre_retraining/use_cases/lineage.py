"""What a thing came from, what came from it, and how that becomes known."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from gyre_retraining.domain.lineage import (
    Direction,
    Edge,
    Facts,
    Node,
    Thing,
    ThingUnknown,
    Trace,
    dataset_facts,
    thing_of,
)
from gyre_retraining.lineage_ports import DatasetSources, LineageStore

DEFAULT_LIMIT, LIMIT = 1000, 10_000
AT_ONCE = 200
EDGES_A_NODE = 10


class RecordLineage:
    """Writes down what came from what. Every method may be repeated."""

    def __init__(self, store: LineageStore, sources: DatasetSources) -> None:
        self._store = store
        self._sources = sources

    async def write(self, tenant: str, facts: Facts) -> None:
        await self._store.write(tenant, facts)

    async def dataset(
        self, tenant: str, dataset_id: str, time: datetime, form: str, folder: Path
    ) -> None:
        """folder: the assembled dataset; its `lineage.parquet` is read."""
        async for piece in self._sources.sources(folder):
            for facts in dataset_facts(dataset_id, time, form, piece):
                await self._store.write(tenant, facts)


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
        if not await self._store.nodes(tenant, [start]):
            raise ThingUnknown(f"{start.kind} {start.id}")
        walk = Walk(self._store, tenant, direction, min(limit or DEFAULT_LIMIT, LIMIT))
        await walk.go(start)
        return await walk.trace()


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
        left = self._limit * EDGES_A_NODE - len(self._edges)
        found = await self._store.next(self._tenant, things, self._direction, left + 1)
        self._truncated |= len(found) > left
        reached = []
        for edge in found[:left]:
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
