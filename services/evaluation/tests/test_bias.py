"""A group that is served worse is found, and chance is not taken for it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from gyre.evaluation.v1.events_pb2 import AlertKind
from gyre_evaluation.domain.bias import BiasRules, disparities
from gyre_evaluation.domain.windows import EVERYTHING, Group, GroupKind, Moments
from gyre_evaluation.use_cases.disparities import CheckDisparities
from live_world import NOON, World, opened, record

DE, EN, FR = (Group(GroupKind.SLICE, f"language={code}") for code in ("de", "en", "fr"))


def chance(share: float, count: int, seed: int = 0) -> Moments:
    """Successes of a share, drawn."""
    draw = random.Random(seed)
    return Moments.of(*(float(draw.random() < share) for _ in range(count)))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened("sqlite", tmp_path) as database:
        yield World(database)


def test_a_slice_that_is_served_worse_is_found_with_its_interval() -> None:
    sums = {
        (DE, "groundedness"): chance(0.55, 300, 1),
        (EN, "groundedness"): chance(0.9, 900, 2),
        (FR, "groundedness"): chance(0.9, 300, 3),
    }
    found = disparities(sums)
    worst = found[0]
    assert (worst.slice, worst.metric) == ("language=de", "groundedness")
    assert worst.gap < 0
    assert worst.low < worst.gap < worst.high < 0
    assert worst.p_value < 0.001


def test_too_few_answers_raise_nothing() -> None:
    sums = {(DE, "m"): chance(0.1, 49, 1), (EN, "m"): chance(0.9, 900, 2)}
    assert disparities(sums) == []
    assert disparities({**sums, (DE, "m"): chance(0.1, 50, 1)})


def test_a_certain_gap_that_is_too_small_to_matter_raises_nothing() -> None:
    sums = {(DE, "m"): chance(0.80, 200_000, 1), (EN, "m"): chance(0.83, 200_000, 2)}
    assert disparities(sums, BiasRules(effect=0.0))
    assert disparities(sums) == []


def test_slices_that_are_all_equal_raise_nothing_even_without_any_variance() -> None:
    same = {(group, "m"): Moments.of(*[0.1] * 99) for group in (DE, EN, FR)}
    assert disparities(same) == []
    assert disparities({**same, (DE, "m"): Moments.of(*[0.2] * 99)})


def test_only_slices_are_compared_each_with_its_own_cut() -> None:
    gold = Group(GroupKind.SLICE, "segment=gold")
    assert disparities({(EVERYTHING, "m"): chance(1, 99), (DE, "m"): chance(0, 99)}) == []
    assert disparities({(gold, "m"): chance(1, 99), (DE, "m"): chance(0, 99)}) == []


def test_many_fair_slices_raise_a_false_alarm_less_often_than_the_level() -> None:
    """40 slices and metrics of equal quality, 300 days: at the level of 0.05, some 15 at most."""
    rules = BiasRules(level=0.05, effect=0.0)
    draw = random.Random(7)
    alarms = 0
    for _ in range(300):
        sums = {
            (Group(GroupKind.SLICE, f"segment={place}"), metric): chance(
                0.8, 200, draw.randrange(10**9)
            )
            for place in range(10)
            for metric in ("a", "b", "c", "d")
        }
        alarms += bool(disparities(sums, rules))
    assert alarms <= 25


async def test_a_day_is_compared_once_when_it_is_over(world: World) -> None:
    for number in range(120):
        segment, words = ("gold", "one two three") if number % 2 else ("basic", "one")
        text = f"{words} {number % 3 * 'more '}"
        await world.hear(record(number, metadata={"segment": segment}, completion=text))
    while await world.scoring.step():
        pass
    check = CheckDisparities(world.store, world.policy, clock=lambda: world.now)
    world.now = NOON + timedelta(hours=12, minutes=30)
    assert await check.step() == []
    world.now = NOON + timedelta(hours=14)
    assert {one.slice for one in await check.step()} == {"segment=basic", "segment=gold"}
    assert await check.step() == []
    alerts = await world.said("AlertRaised")
    assert {(one.kind, one.slice) for one in alerts} == {
        (AlertKind.ALERT_KIND_DISPARITY, "segment=basic"),
        (AlertKind.ALERT_KIND_DISPARITY, "segment=gold"),
    }
    assert "answer_words is" in alerts[0].detail
