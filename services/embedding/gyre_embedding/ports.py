"""What the story needs from the world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


class NotPlaced(Exception):
    """The model cannot be put into the repository, and no repetition helps; says why."""


class Shelf(Protocol):
    """The model server's repository. Every call may be repeated."""

    async def place(self, name: str, uri: str) -> None:
        """Puts the model of that folder there under `name`, and its twin for queries.

        Takes minutes. Raises `NotPlaced`; `ModelUnavailable` where it may work later.
        """

    async def content(self, name: str) -> str | None:
        """Content hash of what lies there under that name; None where nothing does."""

    async def names(self) -> frozenset[str]:
        """Trained models that lie there, twins too."""

    async def remove(self, name: str) -> None:
        """What is not there is no error. A server that has it loaded keeps it loaded."""


class ModelServer(Protocol):
    """What the model server has loaded. Every call may be repeated; all raise
    `ModelUnavailable`, also for what the server refuses: it may have room later."""

    async def states(self) -> Mapping[str, str]:
        """Model -> READY, LOADING, UNLOADING, UNAVAILABLE; empty where it was never loaded. Of what
        is loaded and lies in the repository no more nothing is said."""

    async def load(self, name: str) -> None:
        """Returns when it is ready."""

    async def unload(self, name: str) -> None:
        """It may end a moment later; one that is not loaded is no error."""
