"""Sums of scores: what is added can be taken away, and windows add up to the whole."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from statistics import fmean, variance

import pytest
from gyre_evaluation.domain.judgements import Judgement
from gyre_evaluation.domain.multiplicity import holm
from gyre_evaluation.domain.windows import (
    EVERYTHING,
    Group,
    GroupKind,
    Moments,
    Traits,
    merged,
    sums,
    window_start,
)
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=50)
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)
NOON = datetime(2026, 5, 4, 12, 34, 56, tzinfo=UTC)


@given(VALUES)
def test_moments_have_the_mean_and_variance_of_their_values(values: list[float]) -> None:
    found = Moments.of(*values)
    assert found.mean == pytest.approx(fmean(values), abs=1e-6)
    assert found.variance == pytest.approx(variance(values), rel=1e-6, abs=1e-3)


@given(VALUES, VALUES)
def test_moments_add_up_and_are_taken_away_again(one: list[float], other: list[float]) -> None:
    both = Moments.of(*one) + Moments.of(*other)
    assert both.count == len(one) + len(other)
    assert (both - Moments.of(*other)).mean == pytest.approx(fmean(one), abs=1e-6)


def test_a_score_that_is_no_number_adds_nothing() -> None:
    found = list(sums(NOON, Traits(), {"a": math.nan, "b": math.inf, "c": 1.0}))
    assert [key.metric for key, _ in found] == ["c"]


def test_an_answer_adds_to_all_and_to_each_of_its_groups() -> None:
    traits = Traits("answer/3", "reader", "", {"language": "de", "segment": ""})
    found = merged(sums(NOON, traits, {"score": 1.0}))
    assert {group for group, _ in found} == {
        EVERYTHING,
        Group(GroupKind.PROMPT, "answer/3"),
        Group(GroupKind.MODEL, "reader"),
        Group(GroupKind.SLICE, "language=de"),
    }


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.integers(60, 86_400))
def test_every_moment_lies_within_its_window(time: datetime, seconds: int) -> None:
    moment = time.replace(tzinfo=UTC)
    start = window_start(moment, seconds)
    assert start <= moment < start + timedelta(seconds=seconds)


@given(P_VALUES)
def test_holm_corrects_upwards_and_keeps_the_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(0 <= raw <= one <= 1 for raw, one in zip(p_values, corrected, strict=True))
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [corrected[place] for place in order] == sorted(corrected)
    assert min(corrected) == pytest.approx(min(1.0, len(p_values) * min(p_values)))


def test_holm_is_the_published_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.integers(1, 4)),
        st.tuples(st.just("bar"), st.integers(1, 4)),
    ),
    max_size=12,
)


@given(EDITS)
def test_the_newest_edit_of_a_judgement_counts_whatever_came_first(
    edits: list[tuple[str, int]],
) -> None:
    state = Judgement()
    for what, revision in edits:
        score = float(revision)
        if what == "record":
            state = state.recorded(score, revision)
        else:
            state = state.bar(revision, barred=True)
    newest = max((revision for _, revision in edits), default=0)
    barred = any(edit == ("bar", newest) for edit in edits)
    recorded = ("record", newest) in edits
    assert state.counted == (float(newest) if recorded and not barred else None)
