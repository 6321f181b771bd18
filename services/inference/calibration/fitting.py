"""Linear models: one that ranks sentences, one that tells answerable questions from others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = "NDArray[np.float64]"
Listing = tuple[Array, NDArray[np.bool_]]
_RIDGE = 1e-3


def fit_ranking(groups: Sequence[Sequence[Listing]], steps: int = 400) -> Array:
    """Weights under which a right sentence comes first; every group counts the same.

    A listing is one question: features of its sentences (rows), and which of them are right.
    """
    spread = np.std(np.concatenate([rows for group in groups for rows, _ in group]), axis=0) + 1e-9
    weights: Array = np.zeros(len(spread))
    momentum: Array = np.zeros(len(spread))
    for _ in range(steps):
        slope = sum(_group_slope(group, weights, spread) for group in groups) / len(groups)
        momentum = 0.9 * momentum + slope - _RIDGE * weights
        weights = weights + 0.1 * momentum
    fitted: Array = weights / spread
    return fitted


def _group_slope(group: Sequence[Listing], weights: Array, spread: Array) -> Array:
    slopes = []
    for rows, right in group:
        features = rows / spread
        likely = np.exp(features @ weights - (features @ weights).max())
        wanted = likely * right
        slopes.append((wanted / wanted.sum() - likely / likely.sum()) @ features)
    return np.asarray(np.mean(slopes, axis=0))


def fit_telling(yes: Sequence[Array], no: Sequence[Array], steps: int = 50) -> Array:
    """Logistic weights, the bias last; each group (rows of features) counts the same."""
    rows = np.concatenate([*yes, *no])
    features = np.c_[rows, np.ones(len(rows))]
    truth = np.concatenate([np.full(len(g), v) for v, gs in ((1.0, yes), (0.0, no)) for g in gs])
    shares = np.concatenate([np.full(len(g), 1 / len(g) / len(gs)) for gs in (yes, no) for g in gs])
    ridge = _RIDGE * np.diag([1.0] * rows.shape[1] + [0.0])
    weights = np.zeros(features.shape[1])
    for _ in range(steps):
        told = 1 / (1 + np.exp(-features @ weights))
        slope = features.T @ (shares * (told - truth)) + ridge @ weights
        bend = (features * (shares * told * (1 - told))[:, None]).T @ features + ridge
        weights = weights - np.linalg.solve(bend, slope)
    return weights


def area(yes: Array, no: Array) -> float:
    """Under the curve: how often one that should lie higher does."""
    return float(np.mean(yes[:, None] > no[None]) + 0.5 * np.mean(yes[:, None] == no[None]))
