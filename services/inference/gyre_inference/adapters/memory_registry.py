"""Registry and experiments in memory, for tests: they refuse what the database refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from gyre_inference.domain.allocation import Weighing
from gyre_inference.domain.experiments import Experiment, unchanged
from gyre_inference.domain.faults import Conflict, Fault, NotFound
from gyre_inference.domain.registry import PLATFORM, Holdings, Key, Kind, Move, Version
from gyre_inference.domain.rollouts import PREFIX, Doubt, Observation
from gyre_inference.domain.sequential import Arm
from gyre_inference.ports import LabelChange


@dataclass
class MemoryRegistry:
    """See `Registry`. said: what became an event, in order."""

    kept: dict[tuple[Key, int], Version] = field(default_factory=dict)
    pointed: dict[tuple[Key, str], tuple[int, int]] = field(default_factory=dict)
    moved: list[tuple[Key, Move]] = field(default_factory=list)
    said: list[Version | Move] = field(default_factory=list)
    newest: int = 0
    fault: Fault | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def changing(self, key: Key) -> AsyncIterator[MemoryShelf]:
        """See `Registry`."""
        if self.fault:
            raise self.fault
        async with self._lock:
            shelf = MemoryShelf(self, key, await self.holdings(key))
            yield shelf
            shelf.commit()

    async def revision(self) -> int:
        """See `Registry`."""
        if self.fault:
            raise self.fault
        return self.newest

    async def changes(self, since: int) -> list[LabelChange]:
        """See `Registry`."""
        return [
            LabelChange(key, label, await self.version(key, number))
            for (key, label), (number, revision) in self.pointed.items()
            if revision > since
        ]

    async def holdings(self, key: Key) -> Holdings:
        """See `Registry`."""
        seen = [(one, label, n) for (one, label), (n, _) in self.pointed.items()]
        labels = {
            label: number
            for owner in _owners(key)[::-1]
            for one, label, number in seen
            if one == owner
        }
        return Holdings(
            newest=max((number for one, number in self.kept if one in _owners(key)), default=0),
            labels=labels,
            own=frozenset(label for one, label, _ in seen if one == key),
        )

    async def version(self, key: Key, number: int) -> Version:
        """See `Registry`."""
        for owner in _owners(key):
            if (owner, number) in self.kept:
                return self.kept[owner, number]
        raise NotFound(f"no {key.kind.value} {key.name!r} of version {number}")

    async def known(self, key: Key, digest: str) -> Version | None:
        """See `Registry`."""
        for owner in _owners(key):
            for (one, _), version in self.kept.items():
                if one == owner and version.digest == digest:
                    return version
        return None

    async def versions(self, key: Key, below: int, limit: int) -> list[Version]:
        """See `Registry`."""
        numbers = {n for one, n in self.kept if one in _owners(key) and n < below}
        newest = sorted(numbers, reverse=True)[:limit]
        return [await self.version(key, number) for number in newest]

    async def names(self, tenant: str, kind: Kind, after: str, limit: int) -> list[str]:
        """See `Registry`."""
        seen = {
            key.name
            for key, _ in self.kept
            if key.tenant in (tenant, PLATFORM) and key.kind is kind and key.name > after
        }
        return sorted(seen)[:limit]

    async def moves(self, key: Key, limit: int) -> list[Move]:
        """See `Registry`."""
        return [move for one, move in reversed(self.moved) if one in _owners(key)][:limit]


class MemoryShelf:
    """See `Shelf`; nothing happens before `commit`."""

    def __init__(self, registry: MemoryRegistry, key: Key, held: Holdings) -> None:
        self._registry = registry
        self._key = key
        self._versions: list[Version] = []
        self._labels: dict[str, int] = {}
        self._moves: list[Move] = []
        self._said: list[Version | Move] = []
        self.held = held

    async def known(self, digest: str) -> Version | None:
        """See `Shelf`."""
        return await self._registry.known(self._key, digest)

    async def version(self, number: int) -> Version | None:
        """See `Shelf`."""
        try:
            return await self._registry.version(self._key, number)
        except NotFound:
            return None

    async def keep(self, version: Version) -> None:
        """See `Shelf`."""
        self._versions.append(version)
        self._said.append(version)

    async def pin(self, label: str, number: int) -> None:
        """See `Shelf`."""
        self._labels[label] = number

    async def move(self, move: Move) -> None:
        """See `Shelf`."""
        self._labels[move.label] = move.to_number
        self._moves.append(move)
        self._said.append(move)

    def commit(self) -> None:
        """All of it at once."""
        registry, key = self._registry, self._key
        registry.newest += 1
        for version in self._versions:
            registry.kept[key, version.number] = version
        for label, number in self._labels.items():
            registry.pointed[key, label] = number, registry.newest
        registry.moved += [(key, move) for move in self._moves]
        registry.said += self._said if key.tenant != PLATFORM else []


@dataclass
class MemoryExperiments:
    """See `Experiments`; it shares the revision of a registry, and rollouts its doubts."""

    registry: MemoryRegistry
    known: dict[tuple[str, str], tuple[Experiment, int]] = field(default_factory=dict)
    observed: dict[tuple[str, str, str, str], tuple[float, str]] = field(default_factory=dict)
    doubts: dict[tuple[str, str], Doubt] = field(default_factory=dict)
    weighed: dict[tuple[str, str], list[Weighing]] = field(default_factory=dict)

    async def start(self, tenant: str, experiment: Experiment) -> Experiment:
        """See `Experiments`."""
        place = tenant, experiment.experiment_id
        if place in self.known:
            return unchanged(self.known[place][0], experiment)
        for (owner, name), (other, _) in self.known.items():
            if owner == tenant and other.workload == experiment.workload and other.stop is None:
                raise Conflict(f"the experiment {name!r} runs for {other.workload!r}")
        return self._keep(
            tenant, replace(experiment, start=datetime.now(UTC), stop=None, weighing=None)
        )

    async def stop(self, tenant: str, experiment_id: str, author: str) -> Experiment:
        """See `Experiments`."""
        known = await self.get(tenant, experiment_id)
        if known.stop:
            return known
        stopped = known.stopped(await self.sums(tenant, experiment_id), datetime.now(UTC))
        if stopped.weighing is not None:
            self._add(tenant, experiment_id, stopped.weighing)
            for place in [one for one in self.observed if one[:2] == (tenant, experiment_id)]:
                del self.observed[place]
        self._keep(tenant, stopped)
        self.forget_doubts(tenant)
        return stopped

    async def get(self, tenant: str, experiment_id: str) -> Experiment:
        """See `Experiments`."""
        if (tenant, experiment_id) not in self.known:
            raise NotFound(f"no experiment {experiment_id!r}")
        return self.known[tenant, experiment_id][0]

    async def list(
        self, tenant: str, running: bool, offset: int, limit: int
    ) -> Sequence[Experiment]:
        """See `Experiments`."""
        mine = [one for (owner, _), (one, _) in self.known.items() if owner == tenant]
        chosen = [one for one in reversed(mine) if not (running and one.stop)]
        return chosen[offset : offset + limit]

    async def changes(self, since: int) -> Sequence[tuple[str, Experiment]]:
        """See `Experiments`."""
        newer = [(r, owner, one) for (owner, _), (one, r) in self.known.items() if r > since]
        return [(owner, one) for _, owner, one in sorted(newer, key=lambda each: each[0])]

    async def adaptive(self) -> Sequence[tuple[str, Experiment]]:
        """See `Experiments`."""
        running = ((owner, one) for (owner, _), (one, _) in self.known.items() if not one.stop)
        return [(owner, one) for owner, one in running if one.allocation is not None]

    async def observe(self, observations: Sequence[Observation]) -> None:
        """See `Experiments`."""
        for seen in observations:
            known, _ = self.known.get((seen.tenant, seen.rollout_id), (None, 0))
            value = known.read(seen.arm, seen.metric, seen.value) if known else None
            if value is not None:
                place = seen.tenant, seen.rollout_id, seen.arm, seen.unit
                self.observed.setdefault(place, (value, seen.source))

    async def sums(self, tenant: str, experiment_id: str) -> Mapping[str, Arm]:
        """See `Experiments`."""
        found: dict[str, Arm] = {}
        for (owner, one, variant, _), (value, source) in self.observed.items():
            doubt = self.doubts.get((tenant, source))
            if (owner, one) == (tenant, experiment_id) and (doubt is None or doubt.counts):
                known = found.get(variant, Arm())
                found[variant] = Arm(known.count + 1, known.total + value)
        return found

    async def reweigh(self, tenant: str, experiment_id: str, weighing: Weighing) -> bool:
        """See `Experiments`."""
        known, _ = self.known[tenant, experiment_id]
        if known.stop or known.next_number != weighing.number:
            return False
        self._add(tenant, experiment_id, weighing)
        self._keep(tenant, replace(known, weighing=weighing))
        return True

    async def weighings(self, tenant: str, experiment_id: str, limit: int) -> Sequence[Weighing]:
        """See `Experiments`."""
        return self.weighed.get((tenant, experiment_id), [])[::-1][:limit]

    def doubt(self, tenant: str, doubt: Doubt) -> None:
        """See `Rollouts`."""
        known = self.doubts.get((tenant, doubt.feedback_id))
        stale = known and (known.revision, known.rank) >= (doubt.revision, doubt.rank)
        if not stale and self._matter(tenant):
            self.doubts[tenant, doubt.feedback_id] = doubt

    def forget_doubts(self, tenant: str) -> None:
        """Once nothing of the tenant counts judgements."""
        if not self._matter(tenant):
            self.doubts = {key: one for key, one in self.doubts.items() if key[0] != tenant}

    def replace(self, tenant: str, experiment: Experiment, stopped: bool) -> None:
        """Other weights, or its end: what a rollout does to its own."""
        self._keep(tenant, replace(experiment, stop=datetime.now(UTC) if stopped else None))

    def _matter(self, tenant: str) -> bool:
        return any(
            one.allocation or name.startswith(PREFIX)
            for (owner, name), (one, _) in self.known.items()
            if owner == tenant and not one.stop
        )

    def _add(self, tenant: str, experiment_id: str, weighing: Weighing) -> None:
        self.weighed.setdefault((tenant, experiment_id), []).append(weighing)

    def _keep(self, tenant: str, experiment: Experiment) -> Experiment:
        self.registry.newest += 1
        self.known[tenant, experiment.experiment_id] = experiment, self.registry.newest
        return experiment


def _owners(key: Key) -> tuple[Key, Key]:
    """Whose versions are seen under the name, the tenant's own first."""
    return key, Key(PLATFORM, key.kind, key.name)
