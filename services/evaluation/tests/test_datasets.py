"""Datasets are split fairly, without leaks, the same way every time."""

from __future__ import annotations

import random

import pytest
from gyre_evaluation.domain.comparison import Interval, Verdict, verdict
from gyre_evaluation.domain.datasets import SplitPlan, seal
from gyre_evaluation.domain.errors import RequestInvalid
from gyre_evaluation.domain.examples import Example, example_from
from gyre_evaluation.domain.metrics.case import Evidence
from gyre_evaluation.domain.metrics.metric import Direction
from hypothesis import given, settings
from hypothesis import strategies as st

WORDS = "router invoice roaming sim fibre contract refund speed outage tariff password voicemail"
NOUNS = WORDS.split()


def distinct(count: int, **fields: str) -> list[Example]:
    """Questions that share few words."""
    rng = random.Random(7)
    return [
        Example(" ".join([*rng.sample(NOUNS, 4), f"case{n}", f"part{n}"]), **fields)  # type: ignore[arg-type]
        for n in range(count)
    ]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.builds(
            Example,
            question=st.lists(st.sampled_from(NOUNS), min_size=1, max_size=4).map(" ".join),
            group=st.sampled_from(["", "g1", "g2"]),
            split=st.sampled_from(["", "train", "test"]),
        ),
        min_size=1,
        max_size=25,
        unique_by=lambda one: one.example_id,
    ),
    st.integers(0, 3),
)
def test_no_split_holds_what_another_one_holds_too(examples: list[Example], seed: int) -> None:
    plan = SplitPlan({"test": 0.4}, seed=seed)
    sealing = seal(examples, plan)
    assert sealing.splits.keys() == {one.example_id for one in examples}
    for one in examples:
        for other in examples:
            same_words = set(one.question.split()) == set(other.question.split())
            if same_words or (one.group and one.group == other.group):
                assert sealing.splits[one.example_id] == sealing.splits[other.example_id]
    shuffled = random.Random(seed).sample(examples, len(examples))
    assert seal(shuffled, plan) == sealing


def test_shares_are_kept_in_each_stratum() -> None:
    english = distinct(200, language="en")
    examples = [
        Example(one.question, slices={"topic": "a" if n % 4 else "b"})
        for n, one in enumerate(english)
    ]
    sealing = seal(examples, SplitPlan({"test": 0.25, "validation": 0.25}, "topic"))
    for topic, count in (("a", 150), ("b", 50)):
        drawn = [sealing.splits[one.example_id] for one in examples if one.slices["topic"] == topic]
        assert abs(drawn.count("test") - count / 4) <= 1
        assert abs(drawn.count("validation") - count / 4) <= 1


def test_another_seed_draws_another_split() -> None:
    examples = distinct(100)
    drawn = {seal(examples, SplitPlan({"test": 0.5}, seed=seed)).content_hash for seed in range(3)}
    assert len(drawn) == 3


def test_a_leak_that_the_caller_made_is_mended_and_counted() -> None:
    examples = [
        Example("How do I restart my new router today?", split="train"),
        Example("how do I restart my new router today", split="test"),
        Example("What does roaming in Japan cost?", split="test"),
    ]
    sealing = seal(examples, SplitPlan())
    assert sealing.leaks_mended == 1
    assert sealing.splits[examples[0].example_id] == sealing.splits[examples[1].example_id]
    assert sealing.splits[examples[2].example_id] == "test"


def test_what_is_said_makes_the_example_and_not_where_it_is_put() -> None:
    one = Example("Q?", ("a",), split="train", origin="x")
    assert one.example_id == Example("Q?", ("a",), split="test", origin="y").example_id
    assert one.example_id != Example("Q?", ("b",)).example_id


def test_an_example_survives_its_json() -> None:
    one = Example(
        "Q?", ("a", "b"), (Evidence("t", "c", "d"),), ("d",), slices={"k": "v"}, ratings={"r": 0.5}
    )
    assert example_from(one.as_json()) == one


@pytest.mark.parametrize("given", [{"question": " "}, {"question": "Q?", "anser": "x"}])
def test_an_example_that_is_wrong_says_which_field(given: dict[str, str]) -> None:
    with pytest.raises(RequestInvalid) as refusal:
        example_from(given)
    assert refusal.value.violations.keys() <= {"question", "anser"}


@pytest.mark.parametrize("shares", [{"test": 0.0}, {"test": 0.7, "validation": 0.7}])
def test_shares_that_cannot_be_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(RequestInvalid):
        SplitPlan(shares)


HIGHER, LOWER, NONE = Direction.HIGHER, Direction.LOWER, Direction.NONE


@pytest.mark.parametrize(
    ("low", "high", "direction", "margin", "expected"),
    [
        (0.01, 0.10, HIGHER, 0.0, Verdict.BETTER),
        (-0.10, -0.01, HIGHER, 0.0, Verdict.WORSE),
        (-0.10, -0.01, LOWER, 0.0, Verdict.BETTER),
        (0.0, 0.0, HIGHER, 0.0, Verdict.NOT_WORSE),
        (-0.02, 0.05, HIGHER, 0.0, Verdict.INSUFFICIENT),
        (-0.02, 0.05, HIGHER, 0.03, Verdict.NOT_WORSE),
        (-0.02, 0.05, LOWER, 0.03, Verdict.INSUFFICIENT),
        (-0.02, -0.01, HIGHER, 0.03, Verdict.NOT_WORSE),
        (-9.0, 9.0, NONE, 0.0, Verdict.NOT_WORSE),
    ],
)
def test_a_verdict_follows_the_whole_interval(
    low: float, high: float, direction: Direction, margin: float, expected: Verdict
) -> None:
    interval = Interval((low + high) / 2, low, high)
    assert verdict(interval, 100, direction, margin, 20) is expected


def test_few_pairs_say_nothing() -> None:
    interval = Interval(0.5, 0.4, 0.6)
    assert verdict(interval, 19, HIGHER, 0.0, 20) is Verdict.INSUFFICIENT
    assert verdict(None, 100, HIGHER, 0.0, 20) is Verdict.INSUFFICIENT
