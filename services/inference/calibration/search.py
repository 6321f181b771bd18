"""Hybrid search over a collection in memory: BM25 and vectors, fused by reciprocal ranks."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection as Places
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from gyre_inference.domain.passages import Found, Passage
from gyre_inference.domain.words import language_of, terms

from calibration.vectors import Embedder

FOUND, DEPTH = 10, 50


class HybridSearch:
    """The best passages of a collection, as the retrieval service finds them."""

    def __init__(self, passages: Sequence[Passage], embedder: Embedder) -> None:
        self._passages = passages
        self._embedder = embedder
        self._vectors = embedder.vectors([one.text for one in passages])
        texts = [" ".join((one.title, *one.heading_path, one.text)) for one in passages]
        self._counts = [Counter(terms(text, language_of(text))) for text in texts]
        self._length = sum(count.total() for count in self._counts) / len(self._counts)
        self._holders: dict[str, list[int]] = defaultdict(list)
        for place, count in enumerate(self._counts):
            for term in count:
                self._holders[term].append(place)

    def search(self, question: str, without: Places[str] = ()) -> Found:
        """without: chunk ids that are taken to be absent."""
        absent = {n for n, one in enumerate(self._passages) if one.chunk_id in without}
        cosines = self._vectors @ self._embedder.vectors([question])[0]
        nearest = [int(n) for n in np.argsort(-cosines)]
        fused: dict[int, float] = defaultdict(float)
        for route in (self._lexical(question), nearest):
            for rank, place in enumerate([n for n in route if n not in absent][:DEPTH]):
                fused[place] += 1 / (61 + rank)
        best = sorted(fused, key=lambda place: -fused[place])[:FOUND]
        return Found(
            tuple(
                replace(self._passages[place], rank=rank, dense=float(cosines[place]))
                for rank, place in enumerate(best, start=1)
            )
        )

    def _lexical(self, question: str) -> list[int]:
        scores: dict[int, float] = defaultdict(float)
        total = len(self._passages)
        for term in sorted(set(terms(question, language_of(question)))):
            holders = self._holders.get(term, [])
            rarity = math.log(1 + (total - len(holders) + 0.5) / (len(holders) + 0.5))
            for place in holders:
                count, length = self._counts[place][term], self._counts[place].total()
                scores[place] += rarity * count * 2.2 / (count + 0.3 + 0.9 * length / self._length)
        return sorted(scores, key=lambda place: -scores[place])
