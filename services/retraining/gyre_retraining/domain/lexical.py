"""Passages that share words with a question: where wrong ones look right."""

from __future__ import annotations

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
        self._postings: dict[str, list[tuple[str, int]]] = defaultdict(list)
        self._lengths: dict[str, int] = {}
        for name in sorted(texts):
            said = words(texts[name])
            self._lengths[name] = len(said)
            for word, count in Counter(said).items():
                self._postings[word].append((name, count))
        self._mean = sum(self._lengths.values()) / max(1, len(self._lengths)) or 1.0

    def nearest(self, question: str, limit: int) -> list[str]:
        """Ids, best first; only those that share a word."""
        scores: dict[str, float] = defaultdict(float)
        for word in sorted(set(words(question))):
            postings = self._postings.get(word, ())
            rarity = math.log1p((len(self._lengths) - len(postings) + 0.5) / (len(postings) + 0.5))
            for name, count in postings:
                damped = count + K1 * (1 - B + B * self._lengths[name] / self._mean)
                scores[name] += rarity * count * (K1 + 1) / damped
        best = sorted(scores, key=lambda name: (-round(scores[name], DECIMALS), name))
        return best[:limit]
