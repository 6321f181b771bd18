"""Passages that share words with a question: where wrong ones look right."""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Mapping

from gyre_retraining.domain.similarity import words

K1, B = 1.2, 0.75
DECIMALS = 9
"""Scores are equal to so many, so that the order does not hang on how a sum was rounded."""


class LexicalIndex:
    """BM25 over texts by id."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        said = {name: words(texts[name]) for name in sorted(texts)}
        mean = sum(map(len, said.values())) / max(1, len(said)) or 1.0
        counts: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for name, text in said.items():
            for word, count in Counter(text).items():
                counts[word].append((name, count))
        damping = {name: K1 * (1 - B + B * len(text) / mean) for name, text in said.items()}
        self._weights: dict[str, list[tuple[str, float]]] = {}
        for word, holders in counts.items():
            rarity = math.log1p((len(said) - len(holders) + 0.5) / (len(holders) + 0.5))
            self._weights[word] = [
                (name, rarity * count * (K1 + 1) / (count + damping[name]))
                for name, count in holders
            ]

    def nearest(self, question: str, limit: int) -> list[str]:
        """Ids, best first; only those that share a word."""
        scores: dict[str, float] = defaultdict(float)
        for word in sorted(set(words(question))):
            for name, weight in self._weights.get(word, ()):
                scores[name] += weight
        ranked = ((-round(score, DECIMALS), name) for name, score in scores.items())
        return [name for _, name in heapq.nsmallest(limit, ranked)]
