"""What people thought of passages, as one signal among others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gyre_retrieval.domain.query import Hit

NEUTRAL = 0.5


@dataclass(frozen=True, slots=True)
class Opinion:
    """By one metric. helpfulness: smoothed, 0 to 1. revision: a lower one than known is stale."""

    chunk_id: str
    metric: str
    helpfulness: float
    votes: float
    revision: int


def lifted(hits: Sequence[Hit], helpfulness: Mapping[str, float], weight: float) -> list[Hit]:
    """Each score times 1 + weight * (helpfulness - 0.5), best first; what nobody judged stays.

    Equals keep their order.
    """
    moved = [
        replace(hit, score=hit.score * (1.0 + weight * (helpfulness[chunk_id] - NEUTRAL)))
        if (chunk_id := hit.passage.chunk.chunk_id) in helpfulness
        else hit
        for hit in hits
    ]
    return sorted(moved, key=lambda hit: -hit.score)
