"""The lexical pickers: the floor that no reader may fall below."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gyre_retraining.recipes.reader.text import content_stems

_MEAN_LENGTH = 12.0


@dataclass(frozen=True)
class Rarity:
    """How rare a stem is: document frequencies over sentences."""

    sentence_count: int
    frequencies: dict[str, int] = field(repr=False)

    @classmethod
    def of(cls, sentences: Iterable[str]) -> "Rarity":
        frequencies: Counter[str] = Counter()
        count = 0
        for sentence in sentences:
            count += 1
            frequencies.update(set(content_stems(sentence)))
        return cls(count, {stem: seen for stem, seen in frequencies.items() if seen > 1})

    def weight(self, stem: str) -> float:
        """Inverse document frequency in nats."""
        return math.log((self.sentence_count + 1) / (self.frequencies.get(stem, 0) + 1))


def overlap_scores(rarity: Rarity, question: str, sentences: Sequence[str]) -> list[float]:
    """Summed rarity of the question's stems that stand in each sentence."""
    asked = set(content_stems(question))
    return [
        sum(rarity.weight(stem) for stem in asked & set(content_stems(sentence)))
        for sentence in sentences
    ]


def bm25_scores(rarity: Rarity, question: str, sentences: Sequence[str]) -> list[float]:
    """BM25 (k1 1.2, b 0.75) with a fixed mean length of 12 content words."""
    asked = set(content_stems(question))
    return [_bm25(rarity, asked, Counter(content_stems(sentence))) for sentence in sentences]


def coverage(rarity: Rarity, question: str, sentences: Sequence[str]) -> float:
    """Share (0 to 1) of the question's rarity that the best sentence covers."""
    total = sum(rarity.weight(stem) for stem in set(content_stems(question)))
    return max(overlap_scores(rarity, question, sentences), default=0.0) / total if total else 0.0


def _bm25(rarity: Rarity, asked: set[str], held: Counter[str]) -> float:
    saturation = 1.2 * (0.25 + 0.75 * held.total() / _MEAN_LENGTH)
    return sum(
        rarity.weight(stem) * held[stem] * 2.2 / (held[stem] + saturation)
        for stem in asked
        if stem in held
    )
