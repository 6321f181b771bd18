"""The settings that shape an answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

from gyre_inference.domain.generation import Parameters
from gyre_inference.domain.selection import Weights


@dataclass(frozen=True)
class Policy:
    """What is done where the request leaves it open.

    models: all that Generate may be asked for.
    support: least support of an answer by the documents, 0 to 1.
    candidates: sentences, best by words, that are compared by meaning too; 0 for none.
    """

    model: str
    models: frozenset[str] = frozenset()
    prompt: str = "answer"
    top_k: int = 10
    support: float = 0.5
    candidates: int = 16
    weights: Weights = field(default_factory=Weights)
    parameters: Parameters = field(default_factory=lambda: Parameters(max_tokens=512))

    def config_hash(self, *parts: str) -> str:
        """16 hexadecimal digits over this policy and what else shaped the answer."""
        return _digest(self._told, parts)

    @cached_property
    def _told(self) -> str:
        """The same in every process: a set's own order differs."""
        return repr((sorted(self.models), replace(self, models=frozenset())))


@lru_cache(maxsize=1024)
def _digest(policy: str, parts: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join((policy, *parts)).encode()).hexdigest()[:16]
