"""What a comparison came to. Too little data is never a pass."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gyre_evaluation.domain.metrics.metric import Direction


class Verdict(StrEnum):
    """Of a candidate against its baseline."""

    BETTER = "better"
    WORSE = "worse"
    NOT_WORSE = "not_worse"
    INSUFFICIENT = "insufficient"


@dataclass(frozen=True, slots=True)
class Interval:
    """Of a mean difference, candidate minus baseline."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of a metric with people. low, high: 95 % interval of Spearman's coefficient."""

    count: int
    spearman: float
    low: float
    high: float
    kendall: float


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric of two runs over the examples that both scored. None without a pair."""

    metric: str
    pairs: int
    baseline: float | None
    candidate: float | None
    interval: Interval | None
    verdict: Verdict


def verdict(
    interval: Interval | None, pairs: int, direction: Direction, margin: float, least: int
) -> Verdict:
    """NOT_WORSE needs the whole interval above minus the margin: one that reaches further cannot
    tell. A metric without a direction is never better or worse: with data it is NOT_WORSE."""
    if interval is None or pairs < least:
        return Verdict.INSUFFICIENT
    if direction is Direction.NONE:
        return Verdict.NOT_WORSE
    low, high = interval.low, interval.high
    if direction is Direction.LOWER:
        low, high = -high, -low
    if low > 0:
        return Verdict.BETTER
    if high < -margin:
        return Verdict.WORSE
    return Verdict.NOT_WORSE if low >= -margin else Verdict.INSUFFICIENT
