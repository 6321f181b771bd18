"""Where a value stands between bad and good."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gyre_retraining.domain.sources import BOOLEAN, CATEGORY, NUMBER, Judgement, Review

# Of the rubric by which feedback has answers reviewed.
REVIEW_LABELS: Mapping[str, float] = {
    "wrong": 0.0,
    "no": 0.0,
    "partly": 0.5,
    "right": 1.0,
    "yes": 1.0,
}


@dataclass(frozen=True, slots=True)
class Scale:
    """How a declared metric is read. categories: from worst to best where more is better.
    moves: False where neither way is good."""

    more_is_better: bool = True
    minimum: float = 0.0
    maximum: float = 1.0
    categories: tuple[str, ...] = ()
    moves: bool = True


def scale_from(given: Mapping[str, Any]) -> Scale:
    """From JSON, where a tuple is a list."""
    return Scale(**{**given, "categories": tuple(given["categories"])})


Scales = Mapping[str, Scale]
UNDECLARED = Scale()


def goodness(judgement: Judgement, scales: Scales) -> float | None:
    """0 (bad) to 1 (good); None where the value says neither."""
    scale = scales.get(judgement.metric, UNDECLARED)
    place = _place(judgement, scale)
    if place is None or not scale.moves or not 0.0 <= place <= 1.0:
        return None
    return place if scale.more_is_better else 1.0 - place


def _place(judgement: Judgement, scale: Scale) -> float | None:
    kind, value = judgement.value_kind, judgement.value
    if kind == BOOLEAN:
        return float(bool(value))
    if kind == NUMBER and scale.minimum < scale.maximum and math.isfinite(float(value)):
        return (float(value) - scale.minimum) / (scale.maximum - scale.minimum)
    if kind == CATEGORY and len(scale.categories) > 1 and value in scale.categories:
        return scale.categories.index(str(value)) / (len(scale.categories) - 1)
    return None


def review_goodness(review: Review) -> float | None:
    """Mean of the labels that are known; None where none is, or the reviewer declined."""
    said = [REVIEW_LABELS[one] for one in _unquoted(review) if one in REVIEW_LABELS]
    return None if review.declined or not said else sum(said) / len(said)


def _unquoted(review: Review) -> list[str]:
    """Values are JSON; a label is a string."""
    return [review.labels[name].strip('"') for name in sorted(review.labels)]
