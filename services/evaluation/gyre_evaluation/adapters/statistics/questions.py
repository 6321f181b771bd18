"""Did the questions change? Two tests of embeddings: for what is new, and what is more or less."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.linear_model import LogisticRegression

from gyre_evaluation.domain.alerts import MOST_EXAMPLES
from gyre_evaluation.domain.drift.findings import Finding
from gyre_evaluation.domain.drift.traffic import Observation

NEIGHBOURS = 3
Sample = Sequence[Observation]
Floats = NDArray[np.float64]


def novelty(reference: Sample, current: Sample) -> Finding:
    """Are questions farther from the reference than its own are from each other? A rank test of
    the cosine distance to the nearest neighbours: strong where some are of a new kind."""
    before, now = _matrix(reference), _matrix(current)
    usual, new = _distances(before, before, itself=True), _distances(now, before, itself=False)
    area, p_value = _ranks(new, usual)
    return Finding(
        feature="question_novelty",
        test="mann_whitney",
        statistic=area,
        p_value=p_value,
        reference=float(usual.mean()),
        current=float(new.mean()),
        examples=_highest(new, current),
    )


def separability(reference: Sample, current: Sample) -> Finding:
    """Does a classifier that saw half of both tell the other half apart? Its area under the curve
    is 0.5 where it cannot: strong where the mix of known kinds changes."""
    before, now = _matrix(reference), _matrix(current)
    model = LogisticRegression(class_weight="balanced", max_iter=500)
    seen = before[::2], now[::2]
    model.fit(np.concatenate(seen), np.repeat([0, 1], [len(some) for some in seen]))
    scores = model.decision_function(now[1::2])
    area, p_value = _ranks(scores, model.decision_function(before[1::2]))
    return Finding(
        feature="question_embedding",
        test="domain_classifier",
        statistic=area,
        p_value=p_value,
        reference=0.5,
        current=area,
        examples=_highest(scores, current[1::2]),
    )


def _matrix(sample: Sample) -> Floats:
    return np.stack([np.frombuffer(one.vector, "<f4") for one in sample]).astype(np.float64)


def _distances(of: Floats, to: Floats, *, itself: bool) -> Floats:
    nearness = of @ to.T
    if itself:
        np.fill_diagonal(nearness, -np.inf)
    nearest = np.partition(nearness, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
    distances: Floats = 1.0 - nearest.mean(axis=1)
    return distances


def _ranks(higher: Floats, lower: Floats) -> tuple[float, float]:
    """Chance that one of the first is above one of the second, and its p-value."""
    test = stats.mannwhitneyu(higher, lower, alternative="greater")
    return float(test.statistic) / (len(higher) * len(lower)), float(test.pvalue)


def _highest(scores: Floats, sample: Sample) -> tuple[str, ...]:
    places = np.argsort(-scores)[:MOST_EXAMPLES]
    return tuple(sample[place].answer_id for place in places)
