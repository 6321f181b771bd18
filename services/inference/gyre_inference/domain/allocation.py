"""Shares that follow judgements: the probability that a variant is the best one, above a floor.

A variant's mean is believed to be Beta(1 + s, 1 + n - s) after n values with the sum s (Thompson
sampling for values of 0 and 1; values between them make it a little too wide). Probabilities are
integrated, not drawn: every process comes to the same ones.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, pairwise

from gyre_inference.domain.requests import Violations
from gyre_inference.domain.sequential import Arm

THOMPSON = "thompson"
_METRIC = re.compile(r"-?(feedback|evaluation)\.[a-z0-9_.-]{1,64}")
_STEPS, _PER_DEVIATION = 128, 16
_TAIL = 0.025
_LEAST_MOVE = 0.01


@dataclass(frozen=True)
class Allocation:
    """See the contract's `Allocation`."""

    metric: str
    floor: float = 0.05
    minimum: int = 20

    def read(self, metric: str, value: float) -> float | None:
        """More being better; None where it does not count."""
        if metric != self.metric.lstrip("-") or not 0 <= value <= 1:
            return None
        return 1 - value if self.metric.startswith("-") else value

    def shares(self, best: Sequence[float]) -> list[float]:
        """best: probabilities, of all variants."""
        free = 1 - self.floor * len(best)
        return [self.floor + free * each for each in best]


@dataclass(frozen=True)
class WeighedVariant:
    """See the contract's `WeighedVariant`."""

    name: str
    share: float
    count: int
    mean: float
    low: float
    high: float
    best: float


@dataclass(frozen=True)
class Weighing:
    """number: counts those of an experiment, from 1; 0 is not in force."""

    number: int
    time: datetime
    variants: tuple[WeighedVariant, ...]


def weighed(shares: Mapping[str, float], sums: Mapping[str, Arm]) -> tuple[WeighedVariant, ...]:
    """What is known of each variant, at the shares that it has."""
    arms = [sums.get(name, Arm()) for name in shares]
    beliefs = [_Belief(1 + arm.total, 1 + arm.count - arm.total) for arm in arms]
    places = _places(beliefs)
    below = [belief.below(places) for belief in beliefs]
    return tuple(
        WeighedVariant(
            name,
            share,
            arm.count,
            arm.mean,
            _quantile(places, mine, _TAIL),
            _quantile(places, mine, 1 - _TAIL),
            best,
        )
        for (name, share), arm, mine, best in zip(
            shares.items(), arms, below, _best(below), strict=True
        )
    )


def moved(
    allocation: Allocation, declared: Mapping[str, float], known: Sequence[WeighedVariant]
) -> tuple[WeighedVariant, ...] | None:
    """At the shares that they should have: those declared until every variant has enough
    judgements. None where none would move by a hundredth: people keep their variants."""
    enough = all(one.count >= allocation.minimum for one in known)
    wanted = allocation.shares([one.best for one in known]) if enough else declared.values()
    if all(abs(new - one.share) < _LEAST_MOVE for new, one in zip(wanted, known, strict=True)):
        return None
    return tuple(
        WeighedVariant(one.name, new, one.count, one.mean, one.low, one.high, one.best)
        for new, one in zip(wanted, known, strict=True)
    )


def allocation_violations(allocation: Allocation, shares: Sequence[float]) -> Violations:
    """shares: those declared."""
    if not _METRIC.fullmatch(allocation.metric):
        yield "allocation.metric", "must be feedback.NAME or evaluation.NAME"
    if not 0.001 <= allocation.floor <= 1 / max(1, len(shares)):
        yield "allocation.floor", "must be 0.001 to 1 over the number of variants"
    elif any(share < allocation.floor for share in shares):
        yield "variants", "none may begin with less than the floor"
    if not 1 <= allocation.minimum <= 1_000_000:
        yield "allocation.minimum", "must be 1 to 1000000"


@dataclass(frozen=True)
class _Belief:
    """A Beta distribution; both parameters are at least 1."""

    a: float
    b: float

    def around(self) -> list[float]:
        """Places that it has to be known at."""
        total = self.a + self.b
        mean = self.a / total
        deviation = math.sqrt(mean * (1 - mean) / (total + 1))
        steps = range(-_STEPS, _STEPS + 1)
        around = (mean + deviation * step / _PER_DEVIATION for step in steps)
        return [place for place in around if 0 < place < 1]

    def below(self, places: Sequence[float]) -> list[float]:
        """Probability of less than each place."""
        logs = [_power(place, self.a - 1) + _power(1 - place, self.b - 1) for place in places]
        peak = max(logs)
        heights = [math.exp(each - peak) for each in logs]
        areas = (
            (right - left) * (high + low) / 2
            for (left, right), (low, high) in zip(pairwise(places), pairwise(heights), strict=True)
        )
        sums = list(accumulate(areas, initial=0.0))
        return [each / sums[-1] for each in sums]


def _power(base: float, exponent: float) -> float:
    """Its logarithm."""
    if exponent == 0:
        return 0.0
    return exponent * math.log(base) if base > 0 else -math.inf


def _places(beliefs: Sequence[_Belief]) -> list[float]:
    return sorted({0.0, 1.0, *(place for belief in beliefs for place in belief.around())})


def _best(below: Sequence[Sequence[float]]) -> list[float]:
    """Probability of each that it is the highest."""
    wins = [0.0] * len(below)
    for steps in zip(*(pairwise(each) for each in below), strict=True):
        middles = [(low + high) / 2 for low, high in steps]
        for place, (low, high) in enumerate(steps):
            others = math.prod(middles[:place]) * math.prod(middles[place + 1 :])
            wins[place] += (high - low) * others
    total = sum(wins)
    return [each / total for each in wins]


def _quantile(places: Sequence[float], below: Sequence[float], wanted: float) -> float:
    for (left, right), (low, high) in zip(pairwise(places), pairwise(below), strict=True):
        if high >= wanted:
            return left + (right - left) * (wanted - low) / (high - low)
    return 1.0
