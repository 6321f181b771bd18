"""The list of metrics says what a caller needs to know of each."""

from __future__ import annotations

import pytest
from gyre_evaluation.domain.metrics.catalogue import RULES
from gyre_evaluation.domain.metrics.metric import Level, Metric


@pytest.mark.parametrize("metric", RULES.values(), ids=lambda metric: metric.name)
def test_a_metric_says_what_it_is(metric: Metric) -> None:
    assert metric.description.endswith(".")
    assert metric.maximum is None or metric.minimum < metric.maximum


def test_retrieval_is_judged_by_passages_alone() -> None:
    judged = [metric for metric in RULES.values() if metric.level is Level.RETRIEVAL]
    assert judged
    assert all("passages" in metric.needs for metric in judged)
