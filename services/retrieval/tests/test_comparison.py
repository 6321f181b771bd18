"""What is counted when two indexes answer the same queries."""

from __future__ import annotations

import numpy as np
import pytest
from gyre_retrieval.domain.comparison import (
    correlation,
    helpfulness,
    interval,
    judged_comparison,
    live_comparison,
    overlap,
    recall,
    reciprocal_rank,
)
from gyre_retrieval.domain.reindex import Measured, Sample
from hypothesis import given
from hypothesis import strategies as st


def test_overlap_is_the_share_of_ours_that_they_found():
    assert overlap(["a", "b", "c", "d"], ["d", "x", "a"]) == 0.5
    assert overlap([], []) == 1.0
    assert overlap([], ["a"]) == 0.0
    assert overlap(["a"], []) == 0.0


def test_correlation_tells_order_among_what_both_found():
    assert correlation("abc", "abc") == 1.0
    assert correlation("abc", "cba") == -1.0
    assert correlation("abcd", "badc") == pytest.approx(1 / 3)
    assert correlation("axbyc", "abzc") == 1.0
    assert correlation("ab", "bx") is None


def test_helpfulness_counts_the_first_ones_more_and_leaves_out_what_nobody_judged():
    known = {"good": 1.0, "bad": 0.0}
    assert helpfulness(["good", "bad"], known) == pytest.approx(1 / (1 + 1 / np.log2(3)))
    assert helpfulness(["new", "good", "newer", "bad"], known) == helpfulness(
        ["good", "bad"], known
    )
    assert helpfulness(["new"], known) is None


def test_only_the_first_ten_count():
    found = [str(number) for number in range(20)]
    assert reciprocal_rank(found, frozenset({"3", "8"})) == 0.25
    assert reciprocal_rank(found, frozenset({"10"})) == 0.0
    assert recall(found, frozenset({"3", "8", "10", "x"})) == 0.5


def test_an_interval_holds_its_mean_and_is_the_same_again():
    values = list(np.random.default_rng(1).normal(0.5, 0.1, 200))
    found = interval(values)
    assert found == interval(values)
    assert found.low < found.mean < found.high
    spread = 1.96 * 0.1 / np.sqrt(200)
    assert found.high - found.low == pytest.approx(2 * spread, rel=0.2)


def test_one_value_has_no_interval():
    assert (interval([0.3]).low, interval([0.3]).high) == (None, None)


def test_pairs_tell_a_difference_that_the_two_means_alone_do_not():
    hard = np.random.default_rng(2).uniform(0, 0.9, 100)
    measured = [Measured((one, one + 0.05), (0.5, 0.5), (0.01, 0.02)) for one in hard]
    found = judged_comparison(measured, 1.0)
    in_use, other, difference = found.mrr
    assert in_use.high > other.low
    assert difference.low > 0
    assert found.recall[2] == interval([0.0] * 100)
    assert (found.latency[0].median, found.latency[1].p95) == (0.01, 0.02)


def test_live_searches_without_judgements_say_nothing_of_quality():
    assert live_comparison([]) is None
    found = live_comparison([Sample(0.5, None, 0.1, 0.2), Sample(1.0, 1.0, 0.1, 0.2, 0.2, 0.4)])
    assert (found.searches, found.overlap.mean, found.correlation.mean) == (2, 0.75, 1.0)
    assert found.judged_searches == 1
    assert found.helpfulness[2].mean == pytest.approx(0.2)
    assert live_comparison([Sample(0.5, None, 0.1, 0.2)]).helpfulness is None


@given(st.lists(st.integers(0, 30), unique=True), st.lists(st.integers(0, 30), unique=True))
def test_correlation_is_symmetric_and_within_its_bounds(ours, theirs):
    ours, theirs = list(map(str, ours)), list(map(str, theirs))
    found = correlation(ours, theirs)
    assert found == correlation(theirs, ours)
    assert found is None or -1.0 <= found <= 1.0
