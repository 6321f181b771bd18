"""What the story needs from the world."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gyre_embedding.domain.passages import Embedding


class ModelUnavailable(Exception):
    """The model cannot answer now; the same call may succeed later."""


class ModelUnknown(Exception):
    """The model server has no embedding model of that name loaded."""


class EmbeddingModel(Protocol):
    """Turns texts into vectors. Calls may be repeated: the same text gives the same vector."""

    @property
    def name(self) -> str:
        """Name and version; vectors of different names must never meet in one index."""

    @property
    def dimension(self) -> int:
        """Numbers per vector; what the vectors have counts."""

    async def embed(self, texts: Sequence[str], *, urgent: bool) -> list[Embedding]:
        """One embedding per text, in order.

        `urgent` is for a person who waits: such a call is not queued behind bulk work.
        Raises ModelUnavailable when the model is down or too slow, UnusableVector when
        what it made must not be used; ModelUnknown where a name was asked for that is not loaded.
        """


class EmbeddingModels(Protocol):
    """Models beside the one in force: those that an index is filled for, or was."""

    def named(self, name: str) -> EmbeddingModel:
        """The model of that name, loaded or not."""
