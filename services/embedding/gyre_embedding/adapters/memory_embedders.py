"""A repository and a model server in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gyre_embedding.adapters.memory import MemoryEmbeddingModel
from gyre_embedding.domain.embedders import with_twin
from gyre_embedding.ports import ModelUnavailable, NotPlaced


@dataclass
class MemoryShelf:
    """`Shelf`. store: folder -> content hash."""

    store: Mapping[str, str]
    placed: dict[str, str] = field(default_factory=dict)

    async def place(self, name: str, uri: str) -> None:
        if uri not in self.store:
            raise NotPlaced(f"{uri!r} is no folder of the model store")
        for model in with_twin(name):
            if self.placed.setdefault(model, self.store[uri]) != self.store[uri]:
                raise NotPlaced(f"{name} cannot be placed: it has other content already")

    async def content(self, name: str) -> str | None:
        return self.placed.get(name)

    async def names(self) -> frozenset[str]:
        return frozenset(self.placed)

    async def remove(self, name: str) -> None:
        self.placed.pop(name, None)


@dataclass
class MemoryModelServer:
    """`ModelServer` that loads what lies on the shelf, and `EmbeddingModels` of what is loaded."""

    shelf: MemoryShelf
    available: bool = True
    loaded: set[str] = field(default_factory=set)

    async def states(self) -> Mapping[str, str]:
        self._check()
        """Of what left the shelf nothing is said, as Triton does."""
        return {name: "READY" if name in self.loaded else "" for name in self.shelf.placed}

    async def load(self, name: str) -> None:
        self._check()
        if name not in self.shelf.placed:
            raise ModelUnavailable(f"the model server did not load {name!r} (INVALID_ARGUMENT)")
        self.loaded.add(name)

    async def unload(self, name: str) -> None:
        self._check()
        self.loaded.discard(name)

    def named(self, name: str) -> MemoryEmbeddingModel:
        """Both of a pair are one model."""
        model = MemoryEmbeddingModel(name, seed=name.removesuffix("-query"))
        model.loaded, model.available = name in self.loaded, self.available
        return model

    def _check(self) -> None:
        if not self.available:
            raise ModelUnavailable("the model server in memory was switched off")
