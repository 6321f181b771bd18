"""What the gate lets through when there is nothing to let through, and when there is."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence

import pytest
from gyre_evaluation.adapters.worker import intervals
from gyre_evaluation.domain.comparison import Interval
from gyre_evaluation.domain.examples import Example
from gyre_evaluation.domain.gates.checks import (
    FIXED,
    Check,
    Evidence,
    GateVerdict,
    answered,
    bar_check,
    questions_of,
    together,
)
from gyre_evaluation.domain.gates.policy import Bar, Fixed, Policy
from gyre_evaluation.domain.metrics.catalogue import RULES
from gyre_evaluation.domain.metrics.metric import Score
from gyre_evaluation.domain.pairs import Pair
from gyre_evaluation.domain.runs import Item, Produced

METRIC = "token_f1"
POLICY = Policy("answer", Fixed("sums", bars={METRIC: Bar(better=True)}))
EXAMPLES, TRIALS = 60, 120
SEED = 20260301


def evidence(champion: Sequence[float], candidate: Sequence[float]) -> Evidence:
    pairs = [
        Pair(Example(f"Question {place}?"), item(old), item(new))
        for place, (old, new) in enumerate(zip(champion, candidate, strict=True))
    ]
    return Evidence(FIXED, len(pairs), pairs)


def item(value: float) -> Item:
    return Item("e", Produced(text="text"), {METRIC: Score(METRIC, value)})


def verdict(champion: Sequence[float], candidate: Sequence[float], policy: Policy) -> GateVerdict:
    """By the same functions that the service decides with."""
    found = {FIXED: evidence(champion, candidate)}
    asked = questions_of(policy, found)
    ends = interval_of(
        intervals.differences({one.key: (one.champion, one.candidate) for one in asked})
    )
    own = interval_of(intervals.means({one.key: one.candidate for one in asked}))
    checks: list[Check] = [answered(found[FIXED])]
    checks += [bar_check(one, ends.get(one.key), own.get(one.key), RULES[METRIC]) for one in asked]
    return together(checks)


def interval_of(given: Mapping[str, Mapping[str, float]]) -> dict[str, Interval]:
    return {key: Interval(**one) for key, one in given.items()}


def scores(draw: random.Random, mean: float) -> list[float]:
    return [min(1.0, max(0.0, draw.gauss(mean, 0.25))) for _ in range(EXAMPLES)]


def test_a_candidate_of_shuffled_scores_is_not_let_through() -> None:
    draw, passed = random.Random(SEED), 0
    for _ in range(TRIALS):
        champion = scores(draw, 0.6)
        shuffled = draw.sample(champion, len(champion))
        passed += verdict(champion, shuffled, POLICY) is GateVerdict.PASS
    assert passed == 0  # the same values in another order have the same mean


def test_a_candidate_of_mixed_up_scores_passes_seldom() -> None:
    """Each pair's two scores are swapped by a coin: what is left is chance."""
    draw, passed = random.Random(SEED), 0
    for _ in range(TRIALS):
        pairs = zip(scores(draw, 0.6), scores(draw, 0.75), strict=True)
        mixed = [pair if draw.random() < 0.5 else pair[::-1] for pair in pairs]
        passed += verdict(*zip(*mixed, strict=True), POLICY) is GateVerdict.PASS
    # Of 2,000 trials 57 passed.
    assert passed <= 9


@pytest.mark.parametrize("seed", range(5))
def test_where_most_pairs_are_equal_the_interval_is_at_least_students(seed: int) -> None:
    """Of reciprocal ranks BCa alone says `better` by chance more than twice as often as it may."""
    draw = random.Random(seed)
    before = [draw.choice([1.0, 0.5, 0.0]) for _ in range(20)]
    after = [one if draw.random() < 0.6 else draw.choice([1.0, 0.5, 0.0]) for one in before]
    changes = [new - old for old, new in zip(before, after, strict=True)]
    found = intervals.differences({METRIC: (before, after)})[METRIC]
    mean, spread = statistics.fmean(changes), statistics.stdev(changes) / 20**0.5
    students = 2.0930 * spread  # 97.5 % of Student's t with 19 degrees of freedom
    assert found["low"] <= mean - students + 1e-4
    assert found["high"] >= mean + students - 1e-4


def test_a_candidate_that_is_better_passes_and_one_that_is_worse_fails() -> None:
    draw, passed, failed = random.Random(SEED), 0, 0
    for _ in range(20):
        champion = scores(draw, 0.5)
        gain = [min(1.0, one + max(0.0, draw.gauss(0.15, 0.1))) for one in champion]
        passed += verdict(champion, gain, POLICY) is GateVerdict.PASS
        failed += verdict(gain, champion, POLICY) is GateVerdict.FAIL
    assert (passed, failed) == (20, 20)


@pytest.mark.parametrize("least", [EXAMPLES, EXAMPLES + 1])
def test_one_pair_too_few_is_one_too_few(least: int) -> None:
    champion = [0.5] * EXAMPLES
    candidate = [0.6] * EXAMPLES
    policy = Policy("answer", POLICY.fixed, minimum=least)
    expected = GateVerdict.PASS if least == EXAMPLES else GateVerdict.INSUFFICIENT
    assert verdict(champion, candidate, policy) is expected


def test_nothing_asked_is_no_pass() -> None:
    assert together([]) is GateVerdict.INSUFFICIENT
