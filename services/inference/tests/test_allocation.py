"""Shares that follow judgements: probabilities, floors, and what they gain over fixed ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from gyre_inference.domain.allocation import Allocation, allocation_violations, weighed
from gyre_inference.domain.experiments import (
    Experiment,
    StickyBy,
    Variant,
    experiment_violations,
)
from gyre_inference.domain.record import Labels
from gyre_inference.domain.sequential import Arm

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
HELPFUL = Allocation("feedback.helpful")
TONE = Experiment(
    "tone",
    "answer",
    (Variant("good", 1), Variant("poor", 1)),
    StickyBy.END_USER,
    allocation=HELPFUL,
)


def best(*arms: Arm) -> list[float]:
    sums = {str(place): arm for place, arm in enumerate(arms)}
    return [one.best for one in weighed(dict.fromkeys(sums, 0.5), sums)]


def test_the_probability_of_being_best_is_exact() -> None:
    # One success against nothing: Beta(2, 1) against Beta(1, 1), which is 2/3.
    assert best(Arm(1, 1), Arm()) == pytest.approx([2 / 3, 1 / 3], abs=1e-3)
    assert best(Arm(), Arm(), Arm()) == pytest.approx([1 / 3] * 3, abs=1e-3)
    # Beta(2, 1) against Beta(1, 2) is 5/6.
    assert best(Arm(1, 1), Arm(1, 0)) == pytest.approx([5 / 6, 1 / 6], abs=1e-3)
    assert best(Arm(100_000, 50_000), Arm(20, 10)) == pytest.approx([0.5, 0.5], abs=1e-2)
    assert best(Arm(100_000, 90_000), Arm(100_000, 10_000)) == pytest.approx([1, 0], abs=1e-9)


def test_the_interval_holds_the_mean() -> None:
    (one,) = weighed({"a": 1.0}, {"a": Arm(98, 49)})
    assert (one.low, one.high) == pytest.approx((0.403, 0.597), abs=2e-3)
    (nothing,) = weighed({"a": 1.0}, {})
    assert (nothing.low, nothing.high) == pytest.approx((0.025, 0.975), abs=2e-3)


def test_shares_stay_until_every_variant_has_enough_judgements() -> None:
    assert TONE.reweighted({"good": Arm(500, 500), "poor": Arm(19, 0)}, NOW) is None
    moved = TONE.reweighted({"good": Arm(500, 500), "poor": Arm(20, 0)}, NOW)
    assert moved is not None
    assert [(one.name, round(one.share, 3)) for one in moved.variants] == [
        ("good", 0.95),
        ("poor", 0.05),
    ]
    after = replace(TONE, weighing=moved)
    assert after.content == TONE.content
    assert after.reweighted({"good": Arm(501, 500), "poor": Arm(20, 0)}, NOW) is None
    taken_back = after.reweighted({"good": Arm(3, 3), "poor": Arm(20, 0)}, NOW)
    assert taken_back is not None
    assert (taken_back.number, [one.share for one in taken_back.variants]) == (2, [0.5, 0.5])


def test_less_is_better_where_the_metric_says_so() -> None:
    cost = replace(HELPFUL, metric="-evaluation.toxicity")
    assert cost.read("evaluation.toxicity", 0.2) == pytest.approx(0.8)
    assert cost.read("feedback.toxicity", 0.2) is None
    assert HELPFUL.read("feedback.helpful", 1.5) is None


@pytest.mark.parametrize(
    ("allocation", "field"),
    [
        (replace(HELPFUL, metric="helpful"), "allocation.metric"),
        (replace(HELPFUL, floor=0.51), "allocation.floor"),
        (replace(HELPFUL, floor=0.0001), "allocation.floor"),
        (replace(HELPFUL, minimum=0), "allocation.minimum"),
    ],
)
def test_an_allocation_that_breaks_a_rule_is_refused(allocation: Allocation, field: str) -> None:
    assert [name for name, _ in allocation_violations(allocation, [0.5, 0.5])] == [field]


def test_no_variant_begins_below_the_floor() -> None:
    low = replace(TONE, variants=(Variant("good", 99), Variant("poor", 1)))
    assert [name for name, _ in experiment_violations(low)] == ["variants"]
    assert not list(experiment_violations(replace(low, allocation=None)))


def test_only_people_at_the_moved_border_change_their_variant() -> None:
    moved = TONE.reweighted({"good": Arm(40, 24), "poor": Arm(40, 20)}, NOW)
    assert moved is not None
    after = replace(TONE, weighing=moved)
    changes = [
        (TONE.variant_for(one, "").name, after.variant_for(one, "").name)
        for one in (Labels(end_user=f"user-{n}") for n in range(2000))
    ]
    assert ("good", "poor") not in changes
    assert changes.count(("poor", "good")) / 2000 == pytest.approx(
        after.shares["good"] - 0.5, abs=0.04
    )


def test_fewer_are_answered_badly_than_with_fixed_shares() -> None:
    def misses(adapt: bool, chance: random.Random) -> int:
        return people(adapt, (0.8, 0.5), chance)[0]

    assert _mean(misses, True) < 0.35 * _mean(misses, False)


def test_equal_variants_keep_their_floor() -> None:
    for seed in range(10):
        _, lowest = people(True, (0.6, 0.6), random.Random(seed))
        assert lowest >= 0.05 - 1e-12


def people(adapt: bool, rates: tuple[float, float], chance: random.Random) -> tuple[int, float]:
    """1000 people judge, shares are looked at after each 50; how many met the poorer variant, and
    the least share that a variant had."""
    experiment, sums, misses, lowest = TONE, {"good": Arm(), "poor": Arm()}, 0, 1.0
    for place in range(1000):
        name = experiment.variant_for(Labels(), str(chance.random())).name
        misses += name == "poor"
        liked = chance.random() < rates[name == "poor"]
        sums[name] = Arm(sums[name].count + 1, sums[name].total + liked)
        if adapt and place % 50 == 49:
            moved = experiment.reweighted(sums, NOW)
            experiment = replace(experiment, weighing=moved or experiment.weighing)
            lowest = min(lowest, *experiment.shares.values())
    return misses, lowest


def _mean(misses: Callable[[bool, random.Random], int], adapt: bool) -> float:
    return sum(misses(adapt, random.Random(seed)) for seed in range(10)) / 10
