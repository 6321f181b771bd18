"""What is embedded, and which passages share a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar


@dataclass(frozen=True)
class Embedding:
    """The vector of one text: unit length, finite, `dimension` little-endian float32 numbers."""

    vector: bytes
    token_count: int
    truncated: bool


@dataclass(frozen=True)
class Vectors:
    """What one model made of one call's texts, in order, at least one."""

    model: str
    embeddings: Sequence[Embedding]

    @property
    def dimension(self) -> int:
        """Numbers per vector."""
        return len(self.embeddings[0].vector) // 4


class Sized(Protocol):
    """Something whose cost is known before it is embedded."""

    @property
    def length(self) -> int:
        """Tokens or characters, as long as all of a batch count the same."""


S = TypeVar("S", bound=Sized)


def choose_batch(waiting: Sequence[S], size: int) -> list[S]:
    """Takes up to `size` of those waiting: the oldest, and those nearest to it in length.

    Texts of one length waste no padding, and because the oldest is always among them
    none waits for ever. `waiting` is in order of arrival and not empty.
    """
    oldest = waiting[0]
    nearest = sorted(waiting, key=lambda one: (one is not oldest, abs(one.length - oldest.length)))
    return nearest[:size]
