"""Numbers for two indexes that were asked the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from gyre_retrieval.domain.reindex import (
    Interval,
    JudgedComparison,
    Latency,
    LiveComparison,
    Measured,
    Sample,
)

DEPTH = 10
RESAMPLES = 2000
AT_ONCE = 100
SEED = 20260101
LEAST = 2
PERCENT = (2.5, 97.5)

Numbers = NDArray[np.float64]


def overlap(ours: Sequence[str], theirs: Sequence[str]) -> float:
    """Share of ours among theirs; 1 where both are empty, 0 where one is."""
    if not ours:
        return 0.0 if theirs else 1.0
    return len(set(ours) & set(theirs)) / len(ours)


def correlation(ours: Sequence[str], theirs: Sequence[str]) -> float | None:
    """Kendall's tau of what both hold, 1 for the same order; None where they share under two."""
    ranks = {one: rank for rank, one in enumerate(theirs)}
    shared = [ranks[one] for one in ours if one in ranks]
    pairs = list(combinations(shared, 2))
    if not pairs:
        return None
    return sum(1 if first < second else -1 for first, second in pairs) / len(pairs)


def helpfulness(found: Sequence[str], known: Mapping[str, float]) -> float | None:
    """Mean helpfulness of the judged passages, the first ones counting more; None without any.

    What nobody judged is left out and not counted as bad: of a new index it is unknown more often.
    """
    judged = [known[one] for one in found if one in known]
    weights = [1.0 / math.log2(rank + 2) for rank in range(len(judged))]
    if not judged:
        return None
    return sum(map(float.__mul__, judged, weights)) / sum(weights)


def reciprocal_rank(found: Sequence[str], relevant: frozenset[str]) -> float:
    """Of the first relevant one among the first ten; 0 where none is."""
    ranks = (rank for rank, one in enumerate(found[:DEPTH], start=1) if one in relevant)
    return 1.0 / next(ranks, math.inf)


def recall(found: Sequence[str], relevant: frozenset[str]) -> float:
    """Share of the relevant ones among the first ten."""
    return len(relevant & set(found[:DEPTH])) / len(relevant)


def live_comparison(samples: Sequence[Sample]) -> LiveComparison | None:
    """None without samples."""
    if not samples:
        return None
    correlations = [one.correlation for one in samples if one.correlation is not None]
    judged = [
        (one.judged_in_use, one.judged_other)
        for one in samples
        if one.judged_in_use is not None and one.judged_other is not None
    ]
    return LiveComparison(
        searches=len(samples),
        overlap=interval([one.overlap for one in samples]),
        correlation=interval(correlations) if correlations else None,
        latency=_latencies([(one.seconds_in_use, one.seconds_other) for one in samples]),
        judged_searches=len(judged),
        helpfulness=_paired(judged) if judged else None,
    )


def judged_comparison(measured: Sequence[Measured], now: float) -> JudgedComparison:
    """Of at least one query."""
    return JudgedComparison(
        queries=len(measured),
        mrr=_paired([one.reciprocal_rank for one in measured]),
        recall=_paired([one.recall for one in measured]),
        latency=_latencies([one.seconds for one in measured]),
        compare_time=now,
    )


def interval(values: Sequence[float]) -> Interval:
    """The mean with its percentile bootstrap interval; the same values give the same one."""
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) < LEAST:
        return Interval(float(numbers.mean()), None, None)
    low, high = np.percentile(_resampled_means(numbers), PERCENT)
    return Interval(float(numbers.mean()), float(low), float(high))


def _resampled_means(numbers: Numbers) -> Numbers:
    """A hundred resamples at a time: all at once of 10,000 values take 160 MB."""
    draw = np.random.default_rng(SEED)
    return np.concatenate(
        [
            numbers[draw.integers(0, len(numbers), (AT_ONCE, len(numbers)))].mean(axis=1)
            for _ in range(RESAMPLES // AT_ONCE)
        ]
    )


def _paired(pairs: Sequence[tuple[float, float]]) -> tuple[Interval, Interval, Interval]:
    """In use, other, and the difference pair by pair: what queries have in common falls out."""
    first, second = zip(*pairs, strict=True)
    return interval(first), interval(second), interval([b - a for a, b in pairs])


def _latencies(pairs: Sequence[tuple[float, float]]) -> tuple[Latency, Latency]:
    first, second = zip(*pairs, strict=True)
    return _latency(first), _latency(second)


def _latency(seconds: Sequence[float]) -> Latency:
    median, p95 = np.percentile(np.asarray(seconds), (50, 95))
    return Latency(float(median), float(p95))
