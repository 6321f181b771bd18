"""What is in force now, held in memory: those who answer never wait for the registry."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from gyre_inference.domain.chains import Chain
from gyre_inference.domain.experiments import Experiment
from gyre_inference.domain.faults import InvalidRequest, NotFound
from gyre_inference.domain.prompts import Prompt
from gyre_inference.domain.registry import PLATFORM, PRODUCTION, Key, Kind, Version
from gyre_inference.domain.rollouts import Rollout, RolloutState
from gyre_inference.ports import Experiments, LabelChange, Registry, Rollouts

ReadT = TypeVar("ReadT")
_KEPT = 1024


class Shelved(Generic[ReadT]):
    """Versions of one kind, read once: those that a label points to, and the last ones that were
    asked for by number."""

    def __init__(self, kind: Kind, read: Callable[[Version], ReadT]) -> None:
        self.kind = kind
        self._read = read
        self._labels: dict[Key, dict[str, tuple[int, ReadT]]] = {}
        self._by_number: OrderedDict[tuple[Key, int], ReadT] = OrderedDict()

    def labelled(self, tenant: str, name: str, label: str) -> ReadT | None:
        """The tenant's own label goes before the platform's."""
        for owner in (tenant, PLATFORM):
            found = self._labels.get(Key(owner, self.kind, name), {}).get(label)
            if found is not None:
                return found[1]
        return None

    def numbered(self, key: Key, number: int) -> ReadT | None:
        """One that was asked for before."""
        found = self._by_number.get((key, number))
        if found is not None:
            self._by_number.move_to_end((key, number))
        return found

    def keep(self, key: Key, version: Version) -> ReadT:
        """One that was asked for by number."""
        read = self._by_number[key, version.number] = self._read(version)
        if len(self._by_number) > _KEPT:
            self._by_number.popitem(last=False)
        return read

    def point(self, change: LabelChange) -> None:
        """A label points to another version."""
        held = self._labels.setdefault(change.key, {})
        known = held.get(change.label)
        if known is None or known[0] != change.version.number:
            held[change.label] = change.version.number, self._read(change.version)


class InForce:
    """Labels of every tenant, the experiments that run, and what rollouts put in force.

    A moved label is heard of by a bell, which every process has, and the revision is looked at
    every `pause` seconds besides: a bell may be missed while the bus is away.
    """

    def __init__(
        self,
        registry: Registry,
        experiments: Experiments,
        rollouts: Rollouts,
        prompts: Shelved[Prompt],
        chains: Shelved[Chain],
        *,
        pause: float = 0.5,
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """pause: seconds. failed: is told why the registry could not be read; it goes on."""
        self._registry = registry
        self._experiments = experiments
        self._rollouts = rollouts
        self._prompts = prompts
        self._chains = chains
        self._pause = pause
        self._failed = failed
        self._running: dict[tuple[str, str], Experiment] = {}
        self._champions: dict[tuple[str, str], str] = {}
        self._shadows: dict[tuple[str, str], Rollout] = {}
        self._revision = -1
        self._bell = asyncio.Event()
        self._reading = asyncio.Lock()
        self._ready = asyncio.Event()

    async def prompt(self, tenant: str, name: str, wanted: str = "") -> Prompt:
        """The version in force, one by its label, or one by its number. Raises `NotFound`.

        Only a number that nobody asked for of late is read from the registry.
        """
        return await self._find(self._prompts, tenant, name, wanted)

    async def chain(self, tenant: str, name: str, wanted: str = "") -> Chain:
        """See `prompt`."""
        return await self._find(self._chains, tenant, name, wanted)

    def experiment(self, tenant: str, workload: str) -> Experiment | None:
        """The one that runs for a workload."""
        return self._running.get((tenant, workload)) if self._running else None

    def release(self, tenant: str, model: str) -> str:
        """What answers under a model's name: its champion, else the model itself."""
        return self._champions.get((tenant, model), model)

    def offers(self, tenant: str, model: str) -> bool:
        """Whether a rollout or an experiment brings the model along for the tenant."""
        named = (
            variant.model
            for (owner, _), experiment in self._running.items()
            if owner == tenant
            for variant in experiment.variants
        )
        own = (one for (owner, _), one in self._champions.items() if owner == tenant)
        return model in own or model in named

    def shadow(self, tenant: str, workload: str) -> Rollout | None:
        """The rollout whose candidate answers the workload unseen."""
        return self._shadows.get((tenant, workload)) if self._shadows else None

    def ring(self) -> None:
        """Something may have changed."""
        self._bell.set()

    async def refresh(self) -> None:
        """What changed since the last time; in force when it returns."""
        async with self._reading:
            revision = await self._registry.revision()
            if revision == self._revision:
                return
            labels = await self._registry.changes(self._revision)
            experiments = await self._experiments.changes(self._revision)
            rollouts = await self._rollouts.changes(self._revision)
            for change in labels:
                self._point(change)
            for tenant, experiment in experiments:
                self._note(tenant, experiment)
            for tenant, model, release in rollouts.champions:
                self._champions[tenant, model] = release
            for rollout in rollouts.rollouts:
                self._shade(rollout)
            self._revision = revision
            self._ready.set()

    async def follow(self) -> None:
        """Until it is cancelled."""
        while True:
            self._bell.clear()
            try:
                await self.refresh()
            except Exception as error:  # the next look may succeed; what is known stays in force
                self._failed(error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await self._bell.wait()

    async def _find(self, shelf: Shelved[ReadT], tenant: str, name: str, wanted: str) -> ReadT:
        if not self._ready.is_set():  # a process that has just begun
            await self._ready.wait()
        if wanted.isdecimal():
            key, number = Key(tenant, shelf.kind, name), int(wanted)
            known = shelf.numbered(key, number)
            return known or shelf.keep(key, await self._registry.version(key, number))
        label = wanted or PRODUCTION
        found = shelf.labelled(tenant, name, label)
        if found is None:  # another process may have made it a moment ago
            await self.refresh()
            found = shelf.labelled(tenant, name, label)
        if found is None:
            told = f" with the label {wanted!r}" if wanted else ""
            raise NotFound(f"no {shelf.kind.value} {name!r}{told}")
        return found

    def _point(self, change: LabelChange) -> None:
        try:
            if change.key.kind is Kind.PROMPT:
                self._prompts.point(change)
            else:
                self._chains.point(change)
        except InvalidRequest as error:  # of a newer release: others' changes go on
            self._failed(error)

    def _note(self, tenant: str, experiment: Experiment) -> None:
        place = tenant, experiment.workload
        if experiment.stop is None:
            self._running[place] = experiment
        elif self._running.get(place, experiment).experiment_id == experiment.experiment_id:
            self._running.pop(place, None)

    def _shade(self, rollout: Rollout) -> None:
        place = rollout.tenant, rollout.workload
        if rollout.state is RolloutState.SHADOW:
            self._shadows[place] = rollout
        elif place in self._shadows and self._shadows[place].rollout_id == rollout.rollout_id:
            del self._shadows[place]
