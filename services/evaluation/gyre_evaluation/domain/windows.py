"""Windows of time in which scores of live answers are summed, for all and for groups of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from statistics import NormalDist

OTHER = "other"
MOST_LETTERS = 64


class GroupKind(StrEnum):
    """By what answers are grouped."""

    ALL = "all"
    PROMPT = "prompt"
    MODEL = "model"
    VARIANT = "variant"
    SLICE = "slice"


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """Answers that share something. value: `name/version` of a prompt or a model,
    `experiment/variant`, `key=value` of a slice; empty for all."""

    kind: GroupKind
    value: str = ""

    @property
    def key(self) -> str:
        """What a slice is cut by, e.g. `language`."""
        return self.value.partition("=")[0]


EVERYTHING = Group(GroupKind.ALL)


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, sum and sum of squares: they add up over windows and can be taken away again."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, *values: float) -> Moments:
        return cls(len(values), math.fsum(values), math.fsum(one * one for one in values))

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.count + other.count, self.total + other.total, self.squares + other.squares
        )

    def __sub__(self, other: Moments) -> Moments:
        return Moments(
            self.count - other.count, self.total - other.total, self.squares - other.squares
        )

    @property
    def mean(self) -> float:
        """0 where there is nothing."""
        return self.total / self.count if self.count else 0.0

    @property
    def variance(self) -> float:
        """Of the sample (n - 1); 0 below two values."""
        if self.count < 2:
            return 0.0
        return max(0.0, (self.squares - self.total * self.mean) / (self.count - 1))

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Of the mean, by the normal approximation; as wide as can be below two values."""
        if self.count < 2:
            return -math.inf, math.inf
        margin = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(self.variance / self.count)
        return self.mean - margin, self.mean + margin


@dataclass(frozen=True, slots=True, order=True)
class WindowKey:
    """One sum: a tenant's answers of a group that were asked in a window, scored by a metric."""

    start: datetime
    group: Group
    metric: str


def versioned(name: str, version: str) -> str:
    """`name/version`, or whichever is not empty."""
    return "/".join(filter(None, (name, version)))


def window_start(time: datetime, seconds: int) -> datetime:
    """Of the window that `time` falls into; windows begin at multiples since 1970."""
    return datetime.fromtimestamp(int(time.timestamp()) // seconds * seconds, UTC)


@dataclass(frozen=True, slots=True)
class Traits:
    """What an answer is grouped by. Names that are empty make no group."""

    prompt: str = ""
    model: str = ""
    variant: str = ""
    slices: Mapping[str, str] | None = None

    @property
    def groups(self) -> Iterator[Group]:
        yield EVERYTHING
        named = {
            GroupKind.PROMPT: self.prompt,
            GroupKind.MODEL: self.model,
            GroupKind.VARIANT: self.variant,
        }
        yield from (Group(kind, value) for kind, value in named.items() if value)
        for key, value in sorted((self.slices or {}).items()):
            if value:
                yield Group(GroupKind.SLICE, f"{key}={value[:MOST_LETTERS]}")


def sums(
    start: datetime, traits: Traits, scores: Mapping[str, float]
) -> Iterator[tuple[WindowKey, Moments]]:
    """What one answer adds to the windows. Scores that are no number add nothing."""
    for group in traits.groups:
        for metric, score in scores.items():
            if math.isfinite(score):
                yield WindowKey(start, group, metric), Moments.of(score)


def merged(parts: Iterable[tuple[WindowKey, Moments]]) -> dict[tuple[Group, str], Moments]:
    """Windows of one period as one sum for each group and metric."""
    found: dict[tuple[Group, str], Moments] = {}
    for key, moments in parts:
        place = key.group, key.metric
        found[place] = found.get(place, Moments()) + moments
    return found
