"""Twins of the registry's and the lineage's ports that refuse what the real ones refuse."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from gyre_retraining.domain.lineage import Direction, Edge, Facts, Node, Thing
from gyre_retraining.domain.models import ModelRecord, ModelUnknown, ModelVersion


class MemoryModelRegistry:
    """`ModelRegistry`."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], list[ModelRecord]] = {}
        self._aliases: dict[tuple[str, str], dict[str, int]] = {}

    async def register(self, record: ModelRecord) -> ModelVersion:
        known = self._records.setdefault((record.tenant, record.name), [])
        place = next((n for n, one in enumerate(known) if one.key == record.key), len(known))
        if place == len(known):
            known.append(record)
        return self._version(known[place], place + 1)

    async def get(self, tenant: str, name: str, version: str = "") -> ModelVersion | None:
        known = self._records.get((tenant, name), [])
        aliases = self._aliases.get((tenant, name), {})
        number = str(aliases.get(version, version or len(known)))
        if not number.isdecimal() or not 1 <= int(number) <= len(known):
            return None
        return self._version(known[int(number) - 1], int(number))

    async def versions(self, tenant: str, name: str = "") -> list[ModelVersion]:
        return [
            self._version(record, number)
            for (owner, called), known in sorted(self._records.items())
            if owner == tenant and name in ("", called)
            for number, record in reversed(list(enumerate(known, start=1)))
        ]

    async def by_content_hash(self, tenant: str, content_hash: str) -> list[ModelVersion]:
        found = await self.versions(tenant)
        return [one for one in found if one.record.stored.content_hash == content_hash]

    async def set_alias(self, tenant: str, name: str, alias: str, version: int) -> ModelVersion:
        if await self.get(tenant, name, str(version)) is None:
            raise ModelUnknown(f"{name}/{version}")
        self._aliases.setdefault((tenant, name), {})[alias] = version
        found = await self.get(tenant, name, str(version))
        assert found is not None
        return found

    async def remove_alias(self, tenant: str, name: str, alias: str, version: int) -> None:
        aliases = self._aliases.get((tenant, name), {})
        if aliases.get(alias) == version:
            del aliases[alias]

    async def fetch(self, version: ModelVersion, folder: Path) -> None:
        record = version.record
        if await self.get(record.tenant, record.name, str(version.version)) is None:
            raise ModelUnknown(version.model)
        source = record.stored.uri
        await asyncio.to_thread(shutil.copytree, source, folder, dirs_exist_ok=True)

    def _version(self, record: ModelRecord, number: int) -> ModelVersion:
        aliases = self._aliases.get((record.tenant, record.name), {})
        mine = sorted(name for name, version in aliases.items() if version == number)
        return ModelVersion(record, number, tuple(mine))


class MemoryLineageStore:
    """`LineageStore`."""

    def __init__(self) -> None:
        self._edges: dict[tuple[str, Thing, Thing], str] = {}
        self._nodes: dict[tuple[str, Thing], Node] = {}
        self._forgotten: dict[tuple[str, Thing], datetime] = {}

    async def write(self, tenant: str, facts: Facts) -> None:
        facts = facts.without({one for one in facts.things if self._gone(tenant, one, facts.time)})
        for edge in facts.edges:
            self._edges.setdefault((tenant, edge.later, edge.earlier), edge.relation)
        for node in facts.nodes:
            known = self._nodes.get((tenant, node.thing), node)
            self._nodes[tenant, node.thing] = replace(
                node, label=node.label or known.label, time=node.time or known.time
            )

    async def next(
        self,
        tenant: str,
        things: Sequence[Thing],
        direction: Direction,
        limit: int,
        after: Edge | None = None,
    ) -> list[Edge]:
        found = [
            Edge(later, earlier, relation)
            for (owner, later, earlier), relation in self._edges.items()
            if owner == tenant
            and (later if direction is Direction.BACK else earlier) in set(things)
        ]
        rest = [one for one in found if after is None or _place(one) > _place(after)]
        return sorted(rest, key=_place)[:limit]

    async def nodes(self, tenant: str, things: Sequence[Thing]) -> dict[Thing, Node]:
        return {one: self._nodes[tenant, one] for one in things if (tenant, one) in self._nodes}

    async def forget(self, tenant: str, thing: Thing, moment: datetime) -> None:
        self._forgotten[tenant, thing] = moment
        self._nodes.pop((tenant, thing), None)
        for key in [one for one in self._edges if one[0] == tenant and thing in one[1:]]:
            del self._edges[key]

    def _gone(self, tenant: str, thing: Thing, time: datetime | None) -> bool:
        moment = self._forgotten.get((tenant, thing))
        return moment is not None and time is not None and time <= moment


def _place(edge: Edge) -> tuple[Thing, Thing]:
    return edge.later, edge.earlier
