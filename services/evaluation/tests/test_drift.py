"""Drift is named, shown by examples and said once; on real customers' questions it is neither late
nor early."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from gyre_evaluation.adapters.drift_tests import WorkerDriftTests
from gyre_evaluation.adapters.statistics.comparing import compare
from gyre_evaluation.adapters.worker.jobs import new_worker
from gyre_evaluation.domain.drift.findings import LEVEL, Finding, corrected, moved
from gyre_evaluation.domain.drift.traffic import Observation, Plan, Traffic
from gyre_evaluation.ports import ScoringFailed
from gyre_evaluation.use_cases.drift import CheckDrift
from gyre_runtime.worker import Worker
from hypothesis import given
from hypothesis import strategies as st
from live_world import NOON, World, opened, record, vector_of

sys.path.append(str(Path(__file__).parents[1]))
from measuring.traffic import LiveTraffic, missing, observed, questions, vectors

in_one_loop = pytest.mark.asyncio(loop_scope="module")
PLAN = Plan(reference=100, window=50)
KNOWN = ("how do I cancel my contract", "where is my parcel", "which tariff is the cheapest one")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker() -> AsyncIterator[Worker]:
    """One for all tests of the module: what it imports takes seconds."""
    async with new_worker(memory=2_000_000_000, seconds=600) as worker:
        yield worker


@pytest_asyncio.fixture(params=["sqlite", "postgres"], loop_scope="module")
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(request.param, tmp_path) as database:
        world = World(database)
        world.policy = replace(world.policy, plan=PLAN)
        yield world


def checking(world: World, worker: Worker) -> CheckDrift:
    return CheckDrift(world.store, WorkerDriftTests(worker), world.policy)


async def ask(world: World, first: int, count: int, question: str = "", **facts: object) -> None:
    """Questions with these numbers, known ones where none is given, one a minute."""
    for number in range(first, first + count):
        text = question or f"{KNOWN[number % 3]} {'please ' * (number % 7)}"
        time = NOON + timedelta(minutes=number)
        await world.hear(record(number, text, time=time, **facts))
    while await world.scoring.step():
        pass


def observations(count: int, **facts: str) -> list[Observation]:
    return [
        Observation(f"a{place}", NOON, vector_of(KNOWN[place % 3]), words=facts)
        for place in range(count)
    ]


@given(st.integers(0, 5000), st.integers(100, 2000), st.integers(50, 500))
def test_every_answer_after_the_reference_is_in_one_window(
    number: int, reference: int, window: int
) -> None:
    plan = Plan(reference, window)
    place = plan.window_of(number)
    if place is None:
        assert number < reference
    else:
        assert number in plan.numbers_of(place)
        assert place <= plan.complete(number + 1) <= place + 1


def test_a_finding_says_what_moved_and_from_where_to_where() -> None:
    finding = Finding("language", "chi_squared", 9.0, 1e-6, 0.01, 0.3, ("a1",), "de")
    told = moved([finding, replace(finding, feature="outcome", p_value=0.5)])
    assert [one.detail for one in told] == [
        "language (de) moved from 0.01 to 0.3 (chi_squared, p = 2e-06)"
    ]


def test_a_feature_with_few_values_on_a_side_is_not_tested() -> None:
    reference = observations(100, language="en")
    current = observations(50)
    current[:10] = observations(10, language="de")
    assert "language" not in {one.feature for one in compare(reference, current)}


def test_a_new_language_is_named_with_its_answers() -> None:
    current = observations(70, language="en") + [
        replace(one, answer_id=f"de{place}")
        for place, one in enumerate(observations(30, language="de"))
    ]
    (found,) = moved(compare(observations(200, language="en"), current))[:1]
    assert (found.feature, found.value) == ("language", "de")
    assert set(found.examples) <= {f"de{place}" for place in range(30)}
    assert len(found.examples) == 20


@in_one_loop
async def test_a_window_like_the_reference_raises_nothing(world: World, worker: Worker) -> None:
    await ask(world, 0, 200)
    assert await checking(world, worker).step() == []
    assert await world.said("DriftDetected") == []
    (progress,) = await world.store.progress("acme")
    assert (progress.count, progress.checked) == (200, 2)


@in_one_loop
async def test_what_moved_is_said_once_until_the_cause_has_cooled_down(
    world: World, worker: Worker
) -> None:
    await ask(world, 0, 100)
    await ask(world, 100, 100, "quelle heure est il à la gare")
    check = checking(world, worker)
    assert len(await check.step()) == 2
    (event,) = await world.said("DriftDetected")
    (alert,) = await world.said("AlertRaised")
    assert event.scope == alert.slice == "collection=manuals"
    named = {finding.feature: finding for finding in event.findings}
    assert {"question_novelty", "question_embedding"} <= named.keys()
    examples = set(named["question_novelty"].example_answer_ids)
    assert examples <= {f"answer-{number:06}" for number in range(100, 150)}
    assert (event.reference_count, event.window_count) == (100, 50)
    await ask(world, 200 + 2000, 50, "quelle heure est il à la gare")
    await check.step()
    assert len(await world.said("DriftDetected")) == 2


@in_one_loop
async def test_a_check_that_is_repeated_after_a_crash_says_the_same(
    world: World, worker: Worker
) -> None:
    await ask(world, 0, 100)
    await ask(world, 100, 50, "quelle heure est il à la gare")
    one, other = checking(world, worker), checking(world, worker)
    (progress,) = await world.store.progress("acme")
    await one.step()
    await other._check(progress, 0)  # it had read the progress before the first one was done
    assert len(await world.said("DriftDetected")) == 1


@in_one_loop
async def test_a_worker_that_fails_leaves_the_window_unchecked(world: World) -> None:
    await ask(world, 0, 150)
    starved = new_worker(memory=2_000_000_000, seconds=0.01)
    with pytest.raises(ScoringFailed):
        await checking(world, starved).step()
    (progress,) = await world.store.progress("acme")
    assert (progress.count, progress.checked) == (150, 0)


@in_one_loop
async def test_a_new_reference_makes_the_new_questions_normal(world: World, worker: Worker) -> None:
    await ask(world, 0, 100)
    assert await world.store.reset(Traffic("acme", "collection=manuals"))
    assert not await world.store.reset(Traffic("acme", "collection=none"))
    await ask(world, 100, 150, "quelle heure est il à la gare")
    assert await checking(world, worker).step() == []
    (progress,) = await world.store.progress("acme")
    assert (progress.generation, progress.checked) == (2, 1)


@pytest.mark.skipif(bool(missing()), reason=f"needs {missing()}")
def test_real_questions_raise_no_alarm_and_strangers_do_within_two_windows() -> None:
    """clinc150 and banking77: 20 windows of the same mix, then a fifth is out of scope."""
    traffic = LiveTraffic.drawn(seed=7, plan=Plan())
    known = vectors(traffic.texts)
    reference = observed(traffic.reference, known)

    def alarms(windows: list[list[str]]) -> list[bool]:
        tested = (corrected(compare(reference, observed(some, known))) for some in windows)
        return [any(one.p_value < LEVEL for one in found) for found in tested]

    assert alarms(traffic.same) == [False] * 20
    assert any(alarms(traffic.strange))
    found = moved(compare(reference, observed(traffic.strange[1], known)))
    novel = next(one for one in found if one.feature == "question_novelty")
    out_of_scope = set(questions()[1])
    assert len(out_of_scope.intersection(novel.examples)) >= 10  # of 20; of the window, a fifth
