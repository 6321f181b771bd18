"""Did a number's distribution change? Kolmogorov and Smirnov; numbers of few values as words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from gyre_evaluation.adapters.statistics.sizes import FEW_VALUES
from gyre_evaluation.adapters.statistics.words import words_moved
from gyre_evaluation.domain.alerts import MOST_EXAMPLES
from gyre_evaluation.domain.drift.findings import Finding

Numbers = Sequence[tuple[str, float]]


def number_moved(feature: str, reference: Numbers, current: Numbers) -> Finding:
    """Of (answer id, value); reference and current are means."""
    before, now = (np.array([value for _, value in some]) for some in (reference, current))
    then, by_now = float(before.mean()), float(now.mean())
    if len(np.unique(np.concatenate([before, now]))) <= FEW_VALUES:
        told = [[(who, f"{value:g}") for who, value in some] for some in (reference, current)]
        return replace(words_moved(feature, *told), value="", reference=then, current=by_now)
    test = stats.ks_2samp(before, now, method="asymp")
    upwards = by_now >= then
    odd = sorted(current, key=lambda one: one[1], reverse=upwards)[:MOST_EXAMPLES]
    return Finding(
        feature=feature,
        test="kolmogorov_smirnov",
        statistic=float(test.statistic),
        p_value=float(test.pvalue),
        reference=then,
        current=by_now,
        examples=tuple(who for who, _ in odd),
    )
