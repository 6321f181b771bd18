"""Rollouts and the model server in memory, for tests: they refuse what the real ones refuse."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gyre_inference.adapters.memory_registry import MemoryExperiments, MemoryShelf
from gyre_inference.domain.faults import Conflict, Fault, NotFound
from gyre_inference.domain.gates import Approval, Decision, GateWord
from gyre_inference.domain.registry import PRODUCTION, Key, Kind
from gyre_inference.domain.rollouts import (
    SECONDS,
    Doubt,
    Observation,
    Pair,
    Rollout,
    RolloutKind,
    RolloutState,
    replaced,
    started_before,
)
from gyre_inference.domain.sequential import Arm, Pairs
from gyre_inference.domain.served import ServedModels, served_models
from gyre_inference.domain.wishes import Wish
from gyre_inference.ports import LEASE, RolloutChanges
from gyre_inference.use_cases.shelving import Promotion, promote

Place = tuple[str, str]


@dataclass
class MemoryRollouts:
    """See `Rollouts`. said: names of what became an event, in order."""

    experiments: MemoryExperiments
    known: dict[Place, tuple[Rollout, int]] = field(default_factory=dict)
    champions: dict[Place, tuple[str, int]] = field(default_factory=dict)
    observed: dict[tuple[str, str, int, str, str], tuple[str, float, str]] = field(
        default_factory=dict
    )
    compared: dict[Place, dict[str, Pair]] = field(default_factory=dict)
    held: dict[Place, tuple[str, float]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    words: dict[Place, GateWord] = field(default_factory=dict)
    wished: dict[Place, tuple[Wish, bool]] = field(default_factory=dict)

    async def start(self, rollout: Rollout) -> Rollout:
        """See `Rollouts`."""
        known = self.known.get((rollout.tenant, rollout.rollout_id))
        if rollout.creation_key and known is not None:
            return started_before(known[0], rollout)
        for one in await self.running():
            if (one.tenant, one.kind, one.name) == (rollout.tenant, rollout.kind, rollout.name):
                raise Conflict(f"{one.rollout_id} runs for {rollout.name!r}")
        await self.experiments.start(rollout.tenant, rollout.sticks())
        self._keep(rollout)
        self.said.append("RolloutStarted")
        return rollout

    async def change(self, before: Rollout, after: Rollout) -> Rollout:
        """See `Rollouts`."""
        if (await self.get(before.tenant, before.rollout_id)).number != before.number:
            raise Conflict(f"the rollout {before.rollout_id} changed meanwhile: look again")
        await self._put_in_force(before, after)
        self._keep(after)
        self.experiments.replace(after.tenant, after.sticks(), after.is_over)
        if after.is_over:
            self._forget(after)
        self.said.append("RolloutChanged")
        if after.state is RolloutState.PROMOTED:
            self.said.append("ModelPromoted")
        if after.state is RolloutState.ROLLED_BACK:
            self.said.append("ModelRolledBack")
        return after

    async def get(self, tenant: str, rollout_id: str) -> Rollout:
        """See `Rollouts`."""
        if (tenant, rollout_id) not in self.known:
            raise NotFound(f"no rollout {rollout_id!r}")
        return self.known[tenant, rollout_id][0]

    async def list(self, tenant: str, running: bool, offset: int, limit: int) -> Sequence[Rollout]:
        """See `Rollouts`."""
        mine = [one for (owner, _), (one, _) in self.known.items() if owner == tenant]
        mine.sort(key=lambda one: (-one.start.timestamp(), one.rollout_id))
        return [one for one in mine if not (running and one.is_over)][offset : offset + limit]

    async def running(self) -> Sequence[Rollout]:
        """See `Rollouts`."""
        return [one for one, _ in self.known.values() if not one.is_over]

    async def take(self, tenant: str, rollout_id: str, holder: str) -> Rollout | None:
        """See `Rollouts`."""
        place, now = (tenant, rollout_id), time.time()
        owner, until = self.held.get(place, ("", 0.0))
        if self.known[place][0].is_over or (owner != holder and until > now):
            return None
        self.held[place] = holder, now + LEASE
        return self.known[place][0]

    async def release(self, tenant: str, rollout_id: str, holder: str) -> None:
        """See `Rollouts`."""
        if self.held.get((tenant, rollout_id), ("", 0.0))[0] == holder:
            self.held.pop((tenant, rollout_id))

    async def champion(self, tenant: str, name: str) -> str:
        """See `Rollouts`."""
        return self.champions.get((tenant, name), ("", 0))[0]

    async def changes(self, since: int) -> RolloutChanges:
        """See `Rollouts`."""
        return RolloutChanges(
            [
                (tenant, name, release)
                for (tenant, name), (release, revision) in self.champions.items()
                if revision > since
            ],
            [one for one, revision in self.known.values() if revision > since],
        )

    async def observe(self, observations: Sequence[Observation]) -> None:
        """See `Rollouts`."""
        for seen in observations:
            rollout = self.known.get((seen.tenant, seen.rollout_id), (None, 0))[0]
            read = rollout.read(seen) if rollout else None
            if rollout is not None and read is not None:
                place = seen.tenant, seen.rollout_id, rollout.step, read[0], seen.unit
                self.observed.setdefault(place, (seen.arm, read[1], seen.source))

    async def sums(
        self, tenant: str, rollout_id: str, step: int, *, doubted: bool = True
    ) -> Mapping[tuple[str, str], Arm]:
        """See `Rollouts`."""
        found: dict[tuple[str, str], Arm] = {}
        for (owner, one, at, metric, _), (arm, value, source) in self.observed.items():
            doubt = self.experiments.doubts.get((tenant, source))
            counts = doubted or doubt is None or doubt.counts
            if (owner, one, at) == (tenant, rollout_id, step) and counts:
                known = found.get((metric, arm), Arm())
                found[metric, arm] = Arm(known.count + 1, known.total + value)
        return found

    async def doubt(self, tenant: str, doubt: Doubt) -> None:
        """See `Rollouts`."""
        self.experiments.doubt(tenant, doubt)

    async def seconds(self, tenant: str, rollout_id: str) -> Sequence[float]:
        """See `Rollouts`."""
        return [
            value
            for (owner, one, step, metric, _), (_, value, _) in self.observed.items()
            if (owner, one, step, metric) == (tenant, rollout_id, 0, SECONDS)
        ]

    async def pair(self, tenant: str, rollout_id: str, pair: Pair) -> None:
        """See `Rollouts`."""
        known = self.known.get((tenant, rollout_id))
        if known is not None and known[0].state is RolloutState.SHADOW:
            self.compared.setdefault((tenant, rollout_id), {}).setdefault(pair.answer_id, pair)

    async def pairs(self, tenant: str, rollout_id: str) -> Pairs:
        """See `Rollouts`."""
        ones = [one.outcome for one in self.compared.get((tenant, rollout_id), {}).values()]
        return Pairs(ones.count(1), ones.count(0), ones.count(-1))

    async def served(self, now: datetime, drain: float) -> ServedModels:
        """See `Rollouts`."""
        ones = [one for one, _ in self.known.values()]
        return served_models(ones, [release for release, _ in self.champions.values()], now, drain)

    async def gate_said(self, tenant: str, rollout_id: str, said: Decision | Approval) -> None:
        """See `Rollouts`."""
        place = tenant, rollout_id
        if place not in self.known or self.known[place][0].is_over:
            return
        self.words[place] = self.words.get(place, GateWord()).after(said)

    async def gate(self, tenant: str, rollout_id: str) -> GateWord:
        """See `Rollouts`."""
        return self.words.get((tenant, rollout_id), GateWord())

    async def wish(self, wish: Wish) -> bool:
        """See `Rollouts`."""
        known = self.wished.get((wish.tenant, wish.name))
        if known is not None and known[0].made >= wish.made:
            return False
        self.wished[wish.tenant, wish.name] = wish, True
        return True

    async def wishes(self) -> Sequence[Wish]:
        """See `Rollouts`."""
        ones = [wish for wish, waits in self.wished.values() if waits]
        return sorted(ones, key=lambda one: one.made)

    async def fulfilled(self, wish: Wish) -> None:
        """See `Rollouts`."""
        known = self.wished.get((wish.tenant, wish.name))
        if known is not None and known[0] == wish:
            self.wished[wish.tenant, wish.name] = wish, False

    def _forget(self, rollout: Rollout) -> None:
        place = rollout.tenant, rollout.rollout_id
        self.compared.pop(place, None)
        self.words.pop(place, None)
        self.experiments.forget_doubts(rollout.tenant)
        self.observed = {key: one for key, one in self.observed.items() if key[:2] != place}

    def _keep(self, rollout: Rollout) -> None:
        self.experiments.registry.newest += 1
        newest = self.experiments.registry.newest
        self.known[rollout.tenant, rollout.rollout_id] = rollout, newest

    async def _put_in_force(self, before: Rollout, after: Rollout) -> None:
        pointed = replaced(before, after)
        if pointed is None:
            return
        old, new = pointed
        if before.kind is RolloutKind.PROMPT:
            await self._point(after, old, new)
            return
        now = await self.champion(before.tenant, before.name) or before.name
        if now != old:
            raise Conflict(f"{before.name!r} is {now!r} by now: nothing is replaced")
        registry = self.experiments.registry
        registry.newest += 1
        self.champions[before.tenant, before.name] = new, registry.newest

    async def _point(self, rollout: Rollout, old: str, new: str) -> None:
        registry, key = self.experiments.registry, Key(rollout.tenant, Kind.PROMPT, rollout.name)
        shelf = MemoryShelf(registry, key, await registry.holdings(key))
        author = rollout.changes[-1].author or rollout.author
        move = Promotion(new, PRODUCTION, rollout.rollout_id, author, int(old))
        await promote(key, shelf, PRODUCTION, move)
        shelf.commit()


@dataclass
class MemoryModelServer:
    """See `ModelServer`. folders: what can be loaded. stuck: names whose unloading never ends.
    calls: every load and unload, in order."""

    folders: set[str] = field(default_factory=set)
    loaded: dict[str, str] = field(default_factory=dict)
    stuck: set[str] = field(default_factory=set)
    fault: Fault | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)

    async def states(self) -> Mapping[str, str]:
        """See `ModelServer`."""
        if self.fault:
            raise self.fault
        return {name: self.loaded.get(name, "") for name in self.folders}

    async def load(self, name: str) -> None:
        """See `ModelServer`."""
        if self.fault:
            raise self.fault
        self.calls.append(("load", name))
        if name not in self.folders:
            raise Conflict(f"the model server cannot load {name!r}")
        self.loaded[name] = "READY"

    async def unload(self, name: str) -> None:
        """See `ModelServer`."""
        if self.fault:
            raise self.fault
        self.calls.append(("unload", name))
        self.loaded[name] = "UNLOADING" if name in self.stuck else "UNAVAILABLE"


@dataclass
class MemoryModelShelf:
    """See `ModelShelf`; the folders of a server. store: content by address."""

    server: MemoryModelServer
    store: dict[str, str] = field(default_factory=dict)
    placed: dict[str, str] = field(default_factory=dict)

    async def place(self, name: str, uri: str) -> None:
        """See `ModelShelf`."""
        if uri not in self.store:
            raise Conflict(f"there is no model at {uri!r}")
        if self.placed.setdefault(name, self.store[uri]) != self.store[uri]:
            raise Conflict(f"{name!r} has other content already: choose a new name")
        self.server.folders.add(name)
