"""Intervals of means and of paired differences (library: SciPy)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

RESAMPLES = 2000
LEVEL = 0.95
SEED = 20260101
LEAST = 2
LEAST_AGREEING = 10

Numbers = Sequence[float]


def means(given: Mapping[str, Numbers]) -> dict[str, dict[str, float]]:
    """For each list its mean and the ends of its interval; none where there are under two."""
    return {key: _interval(np.array(some)) for key, some in given.items() if len(some) >= LEAST}


def differences(given: Mapping[str, tuple[Numbers, Numbers]]) -> dict[str, dict[str, float]]:
    """Second minus first, pair by pair: what examples have in common falls out."""
    return {
        key: _widened(np.array(second) - np.array(first))
        for key, (first, second) in given.items()
        if len(first) >= LEAST
    }


def agreements(given: Mapping[str, tuple[Numbers, Numbers]]) -> dict[str, dict[str, float]]:
    """Rank correlations of two lists; none where there are under ten pairs or nothing varies."""
    found = {}
    for key, (ours, theirs) in given.items():
        first, second = np.array(ours), np.array(theirs)
        if len(first) < LEAST_AGREEING or np.ptp(first) == 0 or np.ptp(second) == 0:
            continue
        low, high = _spearman_ends(first, second)
        found[key] = {
            "count": len(first),
            "spearman": float(stats.spearmanr(first, second).statistic),
            "low": low,
            "high": high,
            "kendall": float(stats.kendalltau(first, second).statistic),
        }
    return found


def _spearman_ends(
    first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]
) -> tuple[float, float]:
    ranks = stats.rankdata(first), stats.rankdata(second)
    draw, drawn = np.random.default_rng(SEED), []
    for _ in range(RESAMPLES // 2):
        some = draw.integers(0, len(first), len(first))
        pair = ranks[0][some], ranks[1][some]
        if np.ptp(pair[0]) and np.ptp(pair[1]):
            drawn.append(float(np.corrcoef(*pair)[0, 1]))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def _widened(values: np.ndarray[Any, Any]) -> dict[str, float]:
    """BCa alone is too narrow where most pairs are equal, Student's t alone where few fall far:
    the wider end of both holds its level in either case."""
    found = _interval(values)
    if found["low"] < found["high"]:
        mean, spread = found["mean"], stats.sem(values)
        low, high = stats.t.interval(LEVEL, len(values) - 1, loc=mean, scale=spread)
        found |= {"low": min(found["low"], float(low)), "high": max(found["high"], float(high))}
    return found


def _interval(values: np.ndarray[Any, Any]) -> dict[str, float]:
    mean = float(values.mean())
    if float(np.ptp(values)) == 0.0:  # every resample is the same
        return {"mean": mean, "low": mean, "high": mean}
    found = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        method="percentile" if len(values) > 2000 else "BCa",
        batch=200,
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return {"mean": mean, "low": float(found.low), "high": float(found.high)}
