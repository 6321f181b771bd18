"""Texts that say the same, or nearly. Exact: no sketch that might miss one."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache

# Scripts without blanks between words: each sign is a word.
_SIGNS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\u0e00-\u0e7f"
_WORD = re.compile(rf"[{_SIGNS}]|[^\W{_SIGNS}]+")

Bag = frozenset[str]


@lru_cache(maxsize=65_536)
def words(text: str) -> tuple[str, ...]:
    """In order, without case and marks."""
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def key(text: str) -> str:
    """Equal for texts that differ in case, blanks and marks only."""
    return " ".join(words(text)) or text.strip()


def bag(text: str) -> Bag:
    """The words; of a text without any the text itself."""
    return frozenset(words(text)) or frozenset([text.strip()])


def grams(text: str, size: int) -> Bag:
    """Runs of `size` words; none where the text has fewer."""
    said = words(text)
    return frozenset(" ".join(said[at : at + size]) for at in range(len(said) - size + 1))


@lru_cache(maxsize=16_384)
def shingles(text: str, size: int = 3) -> Bag:
    """Runs of `size` words; of a shorter text its words."""
    return grams(text, size) or bag(text)


def overlap(one: Bag, other: Bag) -> float:
    """Shared part of both together (Jaccard), 0 to 1."""
    return len(one & other) / len(one | other) if one or other else 1.0


class Near:
    """Finds the bags that overlap with one by `threshold` or more."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._bags: list[Bag] = []
        self._holders: dict[str, list[int]] = defaultdict(list)

    def add(self, one: Bag) -> int:
        """Its place, counted from 0."""
        place = len(self._bags)
        self._bags.append(one)
        for word in one:
            self._holders[word].append(place)
        return place

    def find(self, one: Bag) -> list[int]:
        """Places in order."""
        # Bags this alike share one of any few of their words: the rarest make the fewest guesses.
        needed = len(one) - int(self._threshold * len(one) - 1e-9) + 1
        rare = sorted(one, key=lambda word: (len(self._holders.get(word, ())), word))[:needed]
        guesses = {place for word in rare for place in self._holders.get(word, ())}
        return sorted(
            place for place in guesses if overlap(one, self._bags[place]) >= self._threshold
        )


def families(bags: Sequence[Bag], threshold: float) -> list[int]:
    """For each bag the place of its family's first: bags that nearly agree, or are linked by
    others that do, are one family."""
    heads = list(range(len(bags)))

    def head(place: int) -> int:
        while heads[place] != place:
            heads[place] = heads[heads[place]]
            place = heads[place]
        return place

    for first, second in _pairs(bags, threshold):
        one, other = sorted((head(first), head(second)))
        heads[other] = one
    return [head(place) for place in range(len(bags))]


def _pairs(bags: Sequence[Bag], threshold: float) -> Iterator[tuple[int, int]]:
    near, places, first = Near(threshold), list[int](), dict[Bag, int]()
    for place, one in enumerate(bags):
        if one in first:
            yield first[one], place
            continue
        first[one] = place
        for found in near.find(one):
            yield places[found], place
        near.add(one)
        places.append(place)
