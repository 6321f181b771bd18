"""The two pickers that selection must not fall below: overlap of rare words, and BM25."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from gyre_inference.domain.passages import Found, Passage, Sentence, sentences_of
from gyre_inference.domain.words import language_of, terms

Picker = Callable[[str, Sequence[Sentence]], Sentence]


class Pickers:
    """Rarity is counted over all sentences of the collection."""

    def __init__(self, passages: Iterable[Passage], longest: int) -> None:
        counts = [_counts(one) for one in sentences_of(Found(tuple(passages)), longest)]
        self._total = len(counts)
        self._length = sum(count.total() for count in counts) / len(counts)
        self._holding = Counter(term for count in counts for term in count)

    def overlap(self, question: str, sentences: Sequence[Sentence]) -> Sentence:
        """The largest sum of rarity of the question's terms."""
        asked = set(terms(question, language_of(question)))
        return max(sentences, key=lambda one: sum(map(self._rarity, asked & _counts(one).keys())))

    def bm25(self, question: str, sentences: Sequence[Sentence]) -> Sentence:
        """k1 1.2, b 0.75."""
        asked = set(terms(question, language_of(question)))
        return max(sentences, key=lambda one: self._score(asked, _counts(one)))

    def _score(self, asked: set[str], count: Counter[str]) -> float:
        norm = 1.2 * (0.25 + 0.75 * count.total() / self._length)
        held = asked & count.keys()
        return sum(self._rarity(term) * count[term] * 2.2 / (count[term] + norm) for term in held)

    def _rarity(self, term: str) -> float:
        holding = self._holding[term]
        return math.log(1 + (self._total - holding + 0.5) / (holding + 0.5))


def _counts(sentence: Sentence) -> Counter[str]:
    return Counter(terms(sentence.line, language_of(sentence.line)))
