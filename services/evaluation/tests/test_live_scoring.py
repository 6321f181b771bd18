"""A sample of live answers is scored, once each, however often they come and whatever is away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from gyre_evaluation.domain.live import sampled
from gyre_evaluation.domain.metrics.metric import Source
from gyre_evaluation.domain.windows import EVERYTHING, GroupKind, merged
from gyre_evaluation.use_cases.browsing import BrowseLive
from live_world import NOON, Lengths, World, opened, record


@pytest.fixture(params=["sqlite", "postgres"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(request.param, tmp_path) as database:
        yield World(database)


async def whole(world: World, tenant: str = "acme") -> dict[str, int]:
    """Scores by metric in all windows."""
    period = NOON - timedelta(days=9), NOON + timedelta(days=9)
    rows = await world.store.windows(tenant, period, GroupKind.ALL)
    return {metric: one.count for (_, metric), one in merged(rows).items()}


async def test_an_answer_is_scored_and_said(world: World) -> None:
    await world.hear(record())
    assert await world.scoring.step() == 1
    (event,) = await world.said("AnswerEvaluated")
    assert event.answer_id == "answer-000001"
    assert [(one.metric, one.score) for one in event.scores] == [("answer_words", 6.0)]
    assert (event.language, event.sampling_rate) == ("en", 1.0)
    assert await whole(world) == {"answer_words": 1, "failure": 1}


async def test_a_redelivered_answer_is_scored_once(world: World) -> None:
    for _ in range(3):
        await world.hear(record())
        await world.scoring.step()
        world.now += timedelta(seconds=5)
    assert len(await world.said("AnswerEvaluated")) == 1
    assert await whole(world) == {"answer_words": 1, "failure": 1}
    (progress,) = await world.store.progress("acme")
    assert progress.count == 1


async def test_an_answer_waits_for_a_service_that_is_away(world: World) -> None:
    world.vectors.away = True
    await world.hear(record())
    assert await world.scoring.step() == 0
    assert await world.said("AnswerEvaluated") == []
    world.vectors.away = False
    world.now += timedelta(seconds=400)
    assert await world.scoring.step() == 1
    assert await whole(world) == {"answer_words": 1, "failure": 1}


async def test_a_failed_answer_counts_as_a_failure_and_has_no_other_score(world: World) -> None:
    await world.hear(record(1), record(2, completion=""), statuses={2: "UNAVAILABLE"})
    await world.scoring.step()
    assert await whole(world) == {"answer_words": 1, "failure": 2}
    assert len(await world.said("AnswerEvaluated")) == 1


async def test_an_old_answer_counts_in_the_window_in_which_it_was_asked(world: World) -> None:
    await world.hear(record(1), record(2, time=NOON - timedelta(days=5)))
    await world.scoring.step()
    period = NOON - timedelta(days=9), NOON + timedelta(hours=1)
    rows = await world.store.windows("acme", period, GroupKind.ALL, metrics=["failure"])
    assert [key.start for key, _ in rows] == [NOON - timedelta(days=5), NOON]


async def test_a_share_is_sampled_and_always_the_same_one(world: World) -> None:
    world.policy = replace(world.policy, share=0.3)
    records = [record(number) for number in range(200)]
    await world.hear(*records)
    while await world.scoring.step():
        pass
    chosen = {one.answer_id for one in records if sampled(one.answer_id, 0.3)}
    assert 40 <= len(chosen) <= 80
    assert set(world.rules.asked) == chosen


async def test_two_processes_share_the_answers_and_a_third_has_those_of_one_that_died(
    world: World,
) -> None:
    await world.hear(*(record(number) for number in range(4)))
    lease = timedelta(minutes=5)
    one = await world.store.claim(world.now, 2, lease)
    other = await world.store.claim(world.now, 9, lease)
    assert [len(one), len(other)] == [2, 2]
    assert not {each.answer.answer_id for each in one} & {each.answer.answer_id for each in other}
    assert await world.store.claim(world.now, 9, lease) == []
    world.now += lease + timedelta(seconds=1)
    assert await world.scoring.step() == 4
    assert await whole(world) == {"answer_words": 4, "failure": 4}


async def test_judges_score_within_their_budget(world: World) -> None:
    world.judges = Lengths(metric="helpfulness", source=Source.JUDGE)
    world.policy = replace(world.policy, judge_budget=2)
    await world.hear(*(record(number) for number in range(5)))
    while await world.scoring.step():
        pass
    assert await whole(world) == {"answer_words": 5, "failure": 5, "helpfulness": 2}
    assert len(await world.said("AnswerEvaluated")) == 7


async def test_judges_that_are_away_delay_no_rule(world: World) -> None:
    world.judges = Lengths(away=True, metric="helpfulness", source=Source.JUDGE)
    world.policy = replace(world.policy, judge_budget=5)
    await world.hear(record())
    await world.scoring.step()
    await world.scoring.step()
    assert await whole(world) == {"answer_words": 1, "failure": 1}
    world.judges.away = False
    world.now += timedelta(seconds=400)
    assert await world.scoring.step() == 1
    assert await whole(world) == {"answer_words": 1, "failure": 1, "helpfulness": 1}


async def test_windows_are_kept_by_prompt_model_and_slice(world: World) -> None:
    labels = {"segment": "gold", "colour": "red"}
    await world.hear(record(1, metadata=labels), record(2, prompt_version="4"))
    await world.scoring.step()
    browse = BrowseLive(world.store, world.policy)
    period = NOON, NOON + timedelta(hours=1)
    found = {
        group_by: [one.group.value for one in await browse.windows("acme", period, group_by, [])]
        for group_by in ("prompt", "model", "segment", "colour", "collection", "language")
    }
    assert found == {
        "prompt": ["answer/3", "answer/4"],
        "model": ["reader/abcdef012345"],
        "segment": ["segment=gold"],
        "colour": [],
        "collection": ["collection=manuals"],
        "language": ["language=en"],
    }


async def test_another_tenant_sees_nothing_of_it(world: World) -> None:
    await world.hear(record())
    await world.scoring.step()
    assert await whole(world, "rival") == {}
    assert await world.store.progress("rival") == []


async def test_what_is_forgotten_is_what_is_old(world: World) -> None:
    await world.hear(record(1), record(2, time=NOON - timedelta(days=5)))
    await world.scoring.step()
    await world.store.forget(NOON, timedelta(days=2))
    period = NOON - timedelta(days=9), NOON + timedelta(days=1)
    rows = await world.store.windows("acme", period, GroupKind.ALL, metrics=["failure"])
    assert [(key.group, key.start) for key, _ in rows] == [(EVERYTHING, NOON)]
