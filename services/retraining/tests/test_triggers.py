"""One training for a cause; the policy's cool-down and budget hold; what is refused is kept."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from gyre.retraining.v1.events_pb2 import TrainingRequested
from gyre_retraining.domain.trainings import (
    DatasetUnknown,
    RecipeInvalid,
    RecipeUnknown,
    Training,
    TrainingState,
    TriggerKind,
)
from gyre_retraining.domain.triggers import Policy, TrainingRefused, policy_of
from gyre_retraining.ports import News
from gyre_runtime.database import Database

sys.path.append(str(Path(__file__).parent))
from training_world import NOON, World, database_of, wish

WEEKLY = Policy(
    "weekly",
    "tiny",
    minimum_judgements=10,
    drift=True,
    cool_down=timedelta(hours=6),
    trainings_per_day=2,
    minutes_per_week=100.0,
)


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    async with database_of(request.param) as made:
        yield made


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return World(database, tmp_path, (WEEKLY,))


async def end(world: World, training: Training, minutes: float = 1.0) -> None:
    """It ran for so long."""
    claimed = await world.trainings.claim("test", 1000)
    assert claimed is not None
    assert claimed.training_id == training.training_id
    start, world.now = world.now, world.now + timedelta(minutes=minutes)
    ended = replace(claimed, state=TrainingState.FAILED, start_time=start, end_time=world.now)
    assert await world.trainings.keep(ended, "test", News.FAILED)


async def kept(world: World) -> dict[str, str]:
    """Verdicts by cause."""
    found = await world.trainings.decisions("acme", limit=50)
    return {one.cause: one.verdict.reason for one in found}


async def test_enough_new_judgements_want_one_training(world: World) -> None:
    world.counts.heard["acme"] = 9
    await world.look.look()
    assert await kept(world) == {}
    world.counts.heard["acme"] = 12
    await world.look.look()
    await world.look.look()
    assert await kept(world) == {"judgements/weekly/after-0": "accepted"}
    (training,) = await world.trainings.page("acme", "", limit=9, before="")
    assert training.trigger.reason == "12 new judgements; weekly asks for 10"
    assert training.trigger.by == "weekly"


async def test_judgements_are_counted_from_the_last_training(world: World) -> None:
    world.counts.heard["acme"] = 12
    await world.look.look()
    (first,) = await world.trainings.page("acme", "", limit=9, before="")
    await end(world, first)
    world.pass_time(hours=7)
    world.counts.heard["acme"] = 21
    await world.look.look()
    assert len(await kept(world)) == 1
    world.counts.heard["acme"] = 22
    await world.look.look()
    assert (await kept(world))["judgements/weekly/after-12"] == "accepted"


async def test_what_waited_for_the_cool_down_is_trained_after_it(world: World) -> None:
    world.counts.heard["acme"] = 12
    await world.look.look()
    (first,) = await world.trainings.page("acme", "", limit=9, before="")
    world.counts.heard["acme"] = 40
    await world.look.look()
    assert (await kept(world))["judgements/weekly/after-12"] == "already_training"
    await end(world, first)
    await world.look.look()
    assert (await kept(world))["judgements/weekly/after-12"] == "cool_down"
    world.pass_time(hours=6)
    await world.look.look()
    assert (await kept(world))["judgements/weekly/after-12"] == "accepted"


async def test_a_drift_that_is_heard_again_wants_nothing_more(world: World) -> None:
    for _ in range(3):
        await world.decide.drifted("acme", "d-1", "collection=help", ["language", "outcome"])
    assert await kept(world) == {"drift/d-1": "accepted"}
    (training,) = await world.trainings.page("acme", "", limit=9, before="")
    assert training.trigger.kind is TriggerKind.DRIFT
    assert training.trigger.reason == "traffic of collection=help drifted: language, outcome"


async def test_a_drift_within_the_cool_down_is_refused_and_kept(world: World) -> None:
    await world.decide.drifted("acme", "d-1", "collection=help", ["language"])
    (first,) = await world.trainings.page("acme", "", limit=9, before="")
    await end(world, first)
    await world.decide.drifted("acme", "d-2", "collection=help", ["language"])
    assert (await kept(world))["drift/d-2"] == "cool_down"
    assert [one.verdict.accepted for one in world.decided] == [True, False]
    assert len(await world.trainings.page("acme", "", limit=9, before="")) == 1


async def test_two_causes_at_the_same_moment_make_one_training(world: World) -> None:
    wishes = [wish("acme", f"drift/{n}", n, WEEKLY) for n in range(8)]
    found = await asyncio.gather(*(world.trainings.decide([one]) for one in wishes))
    reasons = [one.verdict.reason for (one,) in found]
    assert sorted(reasons) == ["accepted", *["already_training"] * 7]


async def test_a_cause_that_two_processes_see_makes_one_training(world: World) -> None:
    wishes = [wish("acme", "drift/1", n, None) for n in range(8)]
    found = await asyncio.gather(*(world.trainings.decide([one]) for one in wishes))
    assert len({one.training_id for (one,) in found}) == 1
    assert [one.repeated for (one,) in found].count(False) == 1
    assert len(await world.said("training_requested")) == 1


async def test_a_person_asks_in_the_cool_down_but_not_beyond_the_days_budget(world: World) -> None:
    assert (await world.ask("r-1")).state is TrainingState.REQUESTED
    await world.ask("r-2")
    with pytest.raises(TrainingRefused, match="2 trainings a day"):
        await world.ask("r-3")
    assert (await kept(world))["person/r-3"] == "day_budget"
    world.pass_time(days=1, minutes=1)
    assert (await world.ask("r-3")).trigger.cause == "person/r-3"


async def test_the_weeks_minutes_are_a_budget(world: World) -> None:
    await end(world, await world.ask("r-1"), minutes=99)
    world.pass_time(days=1)
    await end(world, await world.ask("r-2"), minutes=2)
    world.pass_time(days=1)
    with pytest.raises(TrainingRefused, match="101 are used"):
        await world.ask("r-3")
    world.pass_time(days=6)
    await world.ask("r-3")


async def test_the_same_request_is_the_same_training(world: World) -> None:
    first = await world.ask("r-1")
    again = await world.ask("r-1", reason="another word")
    assert again == first
    (said,) = await world.said("training_requested")
    event = TrainingRequested.FromString(said)
    assert event.training.training_id == first.training_id
    assert event.training.trigger.by == "ada"
    assert event.training.recipe_hash == first.plan.hash


async def test_tenants_do_not_share_causes_or_budgets(world: World) -> None:
    trainings = [await world.ask("r-1", tenant=name) for name in ("acme", "rival")]
    assert len({one.training_id for one in trainings}) == 2
    await world.ask("r-2")
    with pytest.raises(TrainingRefused):
        await world.ask("r-3")
    await world.ask("r-2", tenant="rival")


async def test_what_is_not_there_is_not_trained(world: World) -> None:
    with pytest.raises(RecipeUnknown):
        await world.ask(recipe="huge")
    with pytest.raises(RecipeInvalid):
        await world.ask(overrides={"speed": "2"})
    with pytest.raises(DatasetUnknown):
        await world.ask(dataset_id="d-9")
    assert await kept(world) == {}


async def test_a_schedule_is_due_once_an_interval(database: Database, tmp_path: Path) -> None:
    daily = Policy("daily", "tiny", "acme", every=timedelta(days=1))
    world = World(database, tmp_path, (daily,))
    await world.look.look()
    (training,) = await world.trainings.page("acme", "", limit=9, before="")
    await end(world, training)
    for _ in range(3):
        await world.look.look()
    world.pass_time(hours=13)
    await world.look.look()
    midnights = [
        f"schedule/daily/{int((NOON + timedelta(hours=n)).timestamp())}" for n in (12, -12)
    ]
    assert sorted(await kept(world)) == sorted(midnights)


def test_a_policy_that_names_the_tenant_comes_before_that_of_all() -> None:
    own = replace(WEEKLY, name="own", tenant="acme")
    assert policy_of([WEEKLY, own], "acme", "tiny") is own
    assert policy_of([WEEKLY, own], "rival", "tiny") is WEEKLY
    assert policy_of([WEEKLY, own], "acme", "other") is None


async def test_a_tenants_own_policy_keeps_that_of_all_from_it(
    database: Database, tmp_path: Path
) -> None:
    own = Policy("own", "tiny", "acme", minimum_judgements=1000)
    world = World(database, tmp_path, (WEEKLY, own))
    world.counts.heard |= {"acme": 50, "rival": 50}
    await world.look.look()
    assert await world.trainings.page("acme", "", limit=9, before="") == []
    assert len(await world.trainings.page("rival", "", limit=9, before="")) == 1
