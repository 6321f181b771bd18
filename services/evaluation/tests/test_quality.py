"""A metric that crosses its limit raises an alert once it is certain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from gyre.evaluation.v1.events_pb2 import AlertKind
from gyre_evaluation.domain.quality import crossings
from gyre_evaluation.domain.windows import EVERYTHING, Moments
from gyre_evaluation.use_cases.quality import CheckQuality
from live_world import NOON, World, opened, record

NONE: frozenset[str] = frozenset()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened("sqlite", tmp_path) as database:
        yield World(database)


def test_a_limit_is_crossed_only_by_the_whole_interval() -> None:
    near = {(EVERYTHING, "m"): Moments.of(*[0.0, 1.0] * 50)}
    assert crossings(near, {"m": 0.55}, NONE) == []
    (found,) = crossings(near, {"m": 0.7}, NONE)
    assert found.low < found.mean < found.high < 0.7
    assert crossings(near, {"m": 0.7}, frozenset({"m"})) == []
    assert crossings(near, {"m": 0.3}, frozenset({"m"}))


def test_few_answers_or_none_cross_nothing() -> None:
    few = {(EVERYTHING, "m"): Moments.of(*[0.1, 0.2] * 24)}
    assert crossings(few, {"m": 0.9, "unknown": 0.9}, NONE) == []


async def test_a_window_that_is_over_is_held_against_its_limits_once(world: World) -> None:
    for number in range(60):
        text = "one two three" if number % 2 else "one two"
        await world.hear(record(number, completion=text))
    while await world.scoring.step():
        pass
    limits = {"answer_words": 5.0, "failure": 0.02}
    less = frozenset({"failure"})
    check = CheckQuality(world.store, world.policy, limits, less, lambda: world.now)
    world.now = NOON + timedelta(minutes=65)
    assert await check.step() == []
    world.now = NOON + timedelta(minutes=75)
    for _ in range(3):
        assert [one.metric for one in await check.step()] == ["answer_words"]
    (alert,) = await world.said("AlertRaised")
    assert (alert.kind, alert.metric) == (AlertKind.ALERT_KIND_QUALITY, "answer_words")
    assert "its limit is 5" in alert.detail
