"""The sequential tests keep the error rates that they state, however often they are looked at."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from gyre_inference.domain.sequential import (
    Arm,
    Pairs,
    not_worse,
    pairs_not_worse,
    pairs_worse,
    worse,
)

RATE = 0.05
RUNS = 2000
Test = Callable[[Arm, Arm], float]


def looks(
    chance: random.Random, means: tuple[float, float], share: float, drift: float = 0.0
) -> Iterator[tuple[Arm, Arm]]:
    """30 looks, each after 20 more answers. drift: what both means move by from first to last."""
    counts, totals = [0, 0], [0.0, 0.0]
    for place in range(600):
        arm = int(chance.random() < share)
        counts[arm] += 1
        totals[arm] += chance.random() < means[arm] + drift * place / 600
        if place % 20 == 19:
            yield Arm(counts[0], totals[0]), Arm(counts[1], totals[1])


def rate(
    test: Test, means: tuple[float, float], share: float, runs: int, drift: float = 0.0
) -> float:
    """Share of runs in which the test ever decides."""
    chance = random.Random(20260504)
    decided = sum(
        any(test(*arms) >= 1 / RATE for arms in looks(chance, means, share, drift))
        for _ in range(runs)
    )
    return decided / runs


@pytest.mark.parametrize(("mean", "share"), [(0.5, 0.5), (0.8, 0.2), (0.95, 0.05)])
def test_equal_arms_are_rarely_called_different(mean: float, share: float) -> None:
    found = rate(worse, (mean, mean), share, RUNS)
    print(f"false alarms at {mean}, share {share}: {found:.4f} of {RUNS} runs, {RATE} stated")
    assert found <= RATE


def test_equal_arms_that_both_fall_with_time_are_rarely_called_different() -> None:
    assert rate(worse, (0.9, 0.9), 0.2, RUNS, drift=-0.4) <= RATE


def test_an_arm_at_the_margin_is_rarely_called_good_enough() -> None:
    found = rate(lambda a, b: not_worse(a, b, 0.1), (0.8, 0.7), 0.5, 400)
    print(f"wrong promotions at the margin: {found:.4f} of 400 runs, {RATE} stated")
    assert found <= RATE


def test_a_decisive_fall_is_found() -> None:
    assert rate(worse, (0.8, 0.3), 0.2, 400) > 0.95


def test_a_better_arm_is_shown_not_to_be_worse() -> None:
    assert rate(lambda a, b: not_worse(a, b, 0.1), (0.5, 0.9), 0.5, 200) > 0.95


def test_pairs_that_come_out_evenly_are_rarely_called_worse() -> None:
    chance = random.Random(7)
    alarms = 0
    for _ in range(RUNS):
        counts = [0, 0]
        for place in range(100):
            counts[chance.random() < 0.5] += 1
            if place % 4 == 3 and pairs_worse(Pairs(counts[0], 0, counts[1])) >= 1 / RATE:
                alarms += 1
                break
    assert alarms / RUNS <= RATE


def test_pairs_at_the_margin_are_rarely_called_good_enough() -> None:
    chance = random.Random(8)
    wrong = 0
    for _ in range(RUNS):
        better = equal = lost = 0
        for place in range(100):
            drawn = chance.random()
            lost += drawn < 0.3
            better += drawn > 0.9
            equal += 0.3 <= drawn <= 0.9
            if place % 4 == 3 and pairs_not_worse(Pairs(better, equal, lost), 0.2) >= 1 / RATE:
                wrong += 1
                break
    assert wrong / RUNS <= RATE


def test_equal_pairs_are_good_enough_and_lost_ones_are_worse() -> None:
    assert pairs_not_worse(Pairs(0, 60, 0), 0.1) > 20 > pairs_not_worse(Pairs(0, 10, 0), 0.1)
    assert pairs_worse(Pairs(0, 5, 15)) > 20 > pairs_worse(Pairs(5, 5, 5))


def test_nothing_is_known_of_nothing() -> None:
    none = Arm()
    for value in (worse(none, none), not_worse(none, none, 0.1)):
        assert value == pytest.approx(1.0)
    assert pairs_worse(Pairs()) == pytest.approx(1.0)
    assert worse(Arm(1000, 1000.0), none) <= 1.0
    assert not_worse(Arm(1000, 800.0), none, 0.1) <= 1.0


def test_the_mixture_of_shares_of_values_counts_like_whole_ones() -> None:
    assert worse(Arm(100, 80.5), Arm(100, 20.25)) > 1e6
    assert not_worse(Arm(100, 50.0), Arm(100, 99.5), 0.1) > 1e6


def test_what_can_be_told_is_finite() -> None:
    assert worse(Arm(10**6, 10.0**6), Arm(10**6, 0.0)) < float("inf")
