"""An embedder that was trained comes to the model server, stays loaded, and goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gyre_embedding.domain.embedders import Ready, Trained, embedder_name, was_trained, with_twin
from gyre_embedding.domain.vectors import UnusableVector
from gyre_embedding.ports import EmbeddingModels, ModelServer, ModelUnavailable, Shelf

PROBES = ("What does it cost?", "The router shows a green light when it is connected.")
_LOADED = ("READY", "LOADING")


class ServeTrained:
    """Place, load, ask. The repository is what is known: everything may be done twice."""

    def __init__(self, shelf: Shelf, server: ModelServer, models: EmbeddingModels) -> None:
        self._shelf = shelf
        self._server = server
        self._models = models

    async def bring(self, trained: Trained) -> Ready:
        """Raises `NotPlaced`, `UnusableVector` (then nothing is left of it), `ModelUnavailable`."""
        embedder = await self._name(trained)
        await self._shelf.place(embedder, trained.uri)
        try:
            for model in with_twin(embedder):
                await self._server.load(model)
            dimensions = [await self._dimension(model) for model in with_twin(embedder)]
        except UnusableVector:
            await self.withdraw(embedder)
            raise
        return Ready(embedder, dimensions[0])

    async def withdraw(self, embedder: str) -> None:
        """It leaves the repository first: what lies there is loaded again."""
        if not was_trained(embedder):
            return
        for model in with_twin(embedder):
            await self._shelf.remove(model)
        for model in with_twin(embedder):
            await self._server.unload(model)

    async def _name(self, trained: Trained) -> str:
        """Names are each tenant's own: two may have a model of one name and version."""
        name = embedder_name(trained)
        there = await self._shelf.content(name)
        return embedder_name(trained, marked=there not in (None, trained.content_hash))

    async def _dimension(self, model: str) -> int:
        made = await self._models.named(model).embed(PROBES, urgent=False)
        if made[0].vector == made[1].vector:
            raise UnusableVector(f"{model} makes one vector of two texts")
        return len(made[0].vector) // 4


class KeepLoaded:
    """Loads what lies in the repository and is not loaded: after a restart of the server, or of
    this service in the middle. pause: seconds between rounds. patience: seconds before one that
    failed is tried again."""

    def __init__(
        self,
        shelf: Shelf,
        server: ModelServer,
        *,
        pause: float = 5.0,
        patience: float = 60.0,
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._shelf = shelf
        self._server = server
        self._pause = pause
        self._patience = patience
        self._failed = failed
        self._later: dict[str, float] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look()
            except Exception as error:
                self._failed(error)
            await asyncio.sleep(self._pause)

    async def look(self) -> list[str]:
        """One round; what was loaded. Where nothing was trained the server is not asked."""
        wanted = await self._shelf.names()
        if not wanted:
            return []
        states = await self._server.states()
        missing = [name for name in sorted(wanted) if states.get(name) not in _LOADED]
        return [name for name in missing if await self._loaded(name)]

    async def _loaded(self, name: str) -> bool:
        """One that cannot be loaded keeps no other one waiting."""
        if self._later.get(name, 0.0) > time.monotonic():
            return False
        try:
            await self._server.load(name)
        except ModelUnavailable as error:
            self._later[name] = time.monotonic() + self._patience
            self._failed(error)
            return False
        self._later.pop(name, None)
        return True
