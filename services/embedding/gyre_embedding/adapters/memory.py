"""An embedding model without a model: words hashed onto a few axes, so that like texts are near."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gyre_embedding.domain.passages import Embedding
from gyre_embedding.domain.vectors import checked
from gyre_embedding.ports import ModelUnavailable, ModelUnknown


@dataclass
class MemoryEmbeddingModel:
    """Deterministic; says no as the real one does when `available` is False."""

    name: str = "memory"
    dimension: int = 64
    limit: int = 256
    available: bool = True
    others: tuple[str, ...] = ()
    loaded: bool = True
    seed: str = ""

    async def embed(self, texts: Sequence[str], *, urgent: bool) -> list[Embedding]:
        """See EmbeddingModel."""
        if not self.available:
            raise ModelUnavailable("the model in memory was switched off")
        if not self.loaded:
            raise ModelUnknown(f"no embedding model {self.name!r} is loaded")
        return [self._embedding(text) for text in texts]

    def named(self, name: str) -> MemoryEmbeddingModel:
        """See EmbeddingModels: of the names in `others`, each with words on axes of its own."""
        loaded = name in self.others
        return MemoryEmbeddingModel(
            name, self.dimension, self.limit, self.available, loaded=loaded, seed=name
        )

    def _embedding(self, text: str) -> Embedding:
        words = re.findall(r"\w+", text.lower())
        kept = words[: self.limit - 2]
        vector = np.zeros((1, self.dimension), dtype=np.float32)
        vector[0, 0] = 1e-3
        for word in kept:
            vector[0, zlib.crc32((self.seed + word).encode()) % self.dimension] += 1.0
        usable = checked(vector, 1, self.dimension)
        return Embedding(usable[0].tobytes(), len(kept) + 2, len(words) > len(kept))
