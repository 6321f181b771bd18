"""Did a metric of live answers cross the limit that the operator set?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gyre_evaluation.domain.windows import EVERYTHING, Group, Moments

LEAST = 50
"""Answers of a window below which nothing is certain."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """A window whose whole 95 % interval of the mean lies on the wrong side."""

    metric: str
    limit: float
    count: int
    mean: float
    low: float
    high: float


def crossings(
    sums: Mapping[tuple[Group, str], Moments],
    limits: Mapping[str, float],
    less_is_better: frozenset[str],
) -> list[Crossing]:
    """By metric. A limit is the least mean that is good; the largest where less is better."""
    found = []
    for metric, limit in sorted(limits.items()):
        moments = sums.get((EVERYTHING, metric), Moments())
        low, high = moments.interval()
        wrong = low > limit if metric in less_is_better else high < limit
        if moments.count >= LEAST and wrong:
            found.append(Crossing(metric, limit, moments.count, moments.mean, low, high))
    return found
