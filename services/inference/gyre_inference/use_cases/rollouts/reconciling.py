"""The models that are wanted, and those that the model server has: compared, and made the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gyre_inference.domain.faults import Fault
from gyre_inference.ports import ModelServer, ModelShelf, Rollouts

READY, UNLOADING = "READY", "UNLOADING"
_GONE = ("", "UNAVAILABLE", UNLOADING)


@dataclass(frozen=True)
class Reconciled:
    """One round. stuck: unloading for longer than `patience`; nobody waits for them. foreign:
    ready, named like a release, and of no rollout; left alone."""

    loaded: tuple[str, ...] = ()
    unloaded: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


class Reconciler:
    """One in every process; what two do at once comes to the same. What is missing in the server's
    repository is placed anew from the model store.

    own: models of the settings; operators load and unload those. drain: seconds for which a
    candidate that was taken back stays. patience: seconds.
    """

    def __init__(
        self,
        rollouts: Rollouts,
        server: ModelServer,
        shelf: ModelShelf,
        own: frozenset[str],
        *,
        pause: float = 5.0,
        drain: float = 30.0,
        patience: float = 60.0,
        told: Callable[[Reconciled], None] = lambda round_: None,
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._rollouts = rollouts
        self._server = server
        self._shelf = shelf
        self._own = own
        self._pause = pause
        self._drain = drain
        self._patience = patience
        self._told = told
        self._failed = failed
        self._unloading: dict[str, float] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                self._told(await self.look())
            except Exception as error:  # the server or the database is away
                self._failed(error)
            await asyncio.sleep(self._pause)

    async def look(self) -> Reconciled:
        """One round. Raises a `Fault` where server or database are away.

        States are read before what is wanted: a candidate that a driver loads meanwhile is wanted
        by then, so it is never unloaded by mistake. Before the first rollout nobody is asked.
        """
        if not (await self._rollouts.served(datetime.now(UTC), self._drain)).known:
            return Reconciled()
        states = await self._server.states()
        served = await self._rollouts.served(datetime.now(UTC), self._drain)
        missing = [name for name in sorted(served.ready) if states.get(name, "") in _GONE]
        left = (served.known - served.wanted - self._own) & states.keys()
        surplus = [name for name in sorted(left) if states[name] not in _GONE]
        lost = {name: served.places[name] for name in served.places.keys() - states.keys()}

        async def load(name: str) -> None:
            if name in lost:  # the server's repository was emptied
                await self._shelf.place(name, lost[name])
            await self._server.load(name)

        ready = {name for name, state in states.items() if state == READY}
        named = {name for name in ready if name.startswith("llm-")}
        return Reconciled(
            loaded=await self._each(load, missing),
            unloaded=await self._each(self._server.unload, surplus),
            stuck=self._stuck({name for name in left if states[name] == UNLOADING}),
            foreign=tuple(sorted(named - served.known - served.wanted - self._own)),
        )

    async def _each(
        self, do: Callable[[str], Awaitable[None]], names: list[str]
    ) -> tuple[str, ...]:
        """One that fails keeps no other one waiting."""
        done = []
        for name in names:
            try:
                await do(name)
                done.append(name)
            except Fault as fault:
                self._failed(fault)
        return tuple(done)

    def _stuck(self, unloading: set[str]) -> tuple[str, ...]:
        now = time.monotonic()
        self._unloading = {name: self._unloading.get(name, now) for name in unloading}
        late = (name for name, since in self._unloading.items() if now - since >= self._patience)
        return tuple(sorted(late))
