"""Did the shares of words (languages, outcomes) change? Chi-squared, or Fisher's test of two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from gyre_evaluation.adapters.statistics.sizes import LEAST_EXPECTED
from gyre_evaluation.domain.alerts import MOST_EXAMPLES
from gyre_evaluation.domain.drift.findings import Finding

Words = Sequence[tuple[str, str]]


def words_moved(feature: str, reference: Words, current: Words) -> Finding:
    """Of (answer id, word); reference and current are shares of the word that grew most."""
    before, now = (Counter(word for _, word in some) for some in (reference, current))
    shares = {
        word: (before[word] / before.total(), now[word] / now.total())
        for word in sorted(before | now)
    }
    most = max(shares, key=lambda word: shares[word][1] - shares[word][0])
    grown = {word for word, (then, share) in shares.items() if share > then}
    test, statistic, p_value = _tested(_table(before, now))
    return Finding(
        feature=feature,
        test=test,
        statistic=statistic,
        p_value=p_value,
        reference=shares[most][0],
        current=shares[most][1],
        examples=tuple(who for who, word in current if word in grown)[:MOST_EXAMPLES],
        value=most,
    )


def _table(before: Counter[str], now: Counter[str]) -> NDArray[np.int64]:
    """Two rows; words that are too rare for the test share a column."""
    small = min(before.total(), now.total()) / (before.total() + now.total())
    common = [word for word in before | now if (before + now)[word] * small >= LEAST_EXPECTED]
    columns = [(before[word], now[word]) for word in common]
    rare = before.total() - sum(b for b, _ in columns), now.total() - sum(n for _, n in columns)
    return np.array([*columns, rare] if any(rare) else columns).T


def _tested(table: NDArray[np.int64]) -> tuple[str, float, float]:
    if table.shape[1] < 2:
        return "chi_squared", 0.0, 1.0
    if table.shape == (2, 2):
        ratio, p_value = stats.fisher_exact(table)
        return "fisher", float(ratio), float(p_value)
    test = stats.chi2_contingency(table)
    return "chi_squared", float(test.statistic), float(test.pvalue)
