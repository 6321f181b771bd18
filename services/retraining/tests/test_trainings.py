"""A training goes from wanted to its model, whoever works on it and whatever ends in between."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from gyre.retraining.v1.events_pb2 import (
    ModelTrained,
    TrainingFailed,
    TrainingProgressed,
    TrainingStarted,
)
from gyre.retraining.v1.training_pb2 import TRAINING_STATE_CANCELLED
from gyre_retraining.adapters.memory import MemoryJobs
from gyre_retraining.adapters.trainings import DatabaseTrainings
from gyre_retraining.domain.models import ModelVersion
from gyre_retraining.domain.trainings import Training, TrainingState, TrainingUnknown
from gyre_retraining.ports import News
from gyre_runtime.database import Database

sys.path.append(str(Path(__file__).parent))
from training_world import QUICK, World, database_of, eventually, plan, working


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    async with database_of(request.param) as made:
        yield made


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    """What should not happen fails the test."""
    made = World(database, tmp_path)
    await made.import_base()
    yield made
    assert made.failures == []


def jobs(world: World) -> MemoryJobs:
    assert isinstance(world.jobs, MemoryJobs)
    return world.jobs


async def started(world: World) -> Training:
    """Its job runs."""
    training = await world.ask()
    await eventually(lambda: training.training_id in jobs(world).jobs)
    return training


def starts(world: World, training: Training, count: int) -> bool:
    return jobs(world).jobs[training.training_id].starts == count


async def ended(world: World, training: Training) -> Training:
    async def is_so() -> bool:
        return (await world.get(training)).state.ended

    await eventually(is_so)
    return await world.get(training)


async def test_a_wanted_training_becomes_the_next_version_of_its_model(world: World) -> None:
    jobs(world).finishes = True
    async with working(world.worker()):
        done = await ended(world, await world.ask())
    assert done.state is TrainingState.SUCCEEDED
    assert (done.base_model, done.model) == ("minilm/1", "minilm/2")
    assert done.dataset_id.startswith("pairs-")
    assert (done.progress.step, done.progress.metrics) == (7, {"eval_loss": 0.5})
    assert (done.attempts, done.peak_memory_bytes) == (1, 1_000_000)
    version = await world.browse.model("acme", "minilm", "candidate")
    assert version.model == done.model
    assert version.record.dataset_id == done.dataset_id
    assert version.record.making is not None
    assert version.record.making.recipe_hash == done.plan.hash
    assert jobs(world).cleared == [done.training_id]


async def test_each_step_is_said_once(world: World) -> None:
    jobs(world).finishes = True
    async with working(world.worker()):
        done = await ended(world, await world.ask())
    (start,) = await world.said("training_started")
    assert TrainingStarted.FromString(start).training.dataset_id == done.dataset_id
    (made,) = await world.said("model_trained")
    event = ModelTrained.FromString(made)
    assert (event.model.name, event.model.version, event.model.base_model) == (
        "minilm",
        2,
        "minilm/1",
    )
    assert event.training.model == "minilm/2"
    assert await world.said("training_failed") == []


async def test_progress_is_kept_and_said(world: World) -> None:
    async with working(world.worker()):
        training = await started(world)
        jobs(world).advance(training.training_id, 3, 7, 0.25)

        async def seen() -> bool:
            return (await world.get(training)).progress.step == 3

        await eventually(seen)
    said = [TrainingProgressed.FromString(one) for one in await world.said("training_progressed")]
    assert [(one.step, one.steps, one.loss) for one in said] == [(3, 7, 0.25)]


async def test_progress_is_said_no_more_often_than_set(world: World) -> None:
    async with working(world.worker(pace=replace(QUICK, said=60.0))):
        training = await started(world)
        for step in range(1, 5):
            jobs(world).advance(training.training_id, step, 7, 1.0)
            await asyncio.sleep(0.05)
        world.pass_time(minutes=2)

        async def seen() -> bool:
            return (await world.get(training)).progress.step == 4

        await eventually(seen)
    assert len(await world.said("training_progressed")) == 2


async def test_a_job_that_fails_says_why(world: World) -> None:
    async with working(world.worker()):
        training = await started(world)
        jobs(world).fail(training.training_id, "out_of_memory", "900 MB were taken")
        failed = await ended(world, training)
    assert (failed.state, failed.reason) == (TrainingState.FAILED, "out_of_memory")
    (said,) = await world.said("training_failed")
    assert TrainingFailed.FromString(said).training.detail == "900 MB were taken"
    assert [one.reason for one in world.ended] == ["out_of_memory"]


async def test_too_few_rows_train_nothing(world: World) -> None:
    world.datasets.rows = 3
    async with working(world.worker()):
        failed = await ended(world, await world.ask())
    assert (failed.reason, failed.attempts) == ("too_few_rows", 0)
    assert jobs(world).jobs == {}


async def test_a_model_that_is_not_there_is_named(database: Database, tmp_path: Path) -> None:
    world = World(database, tmp_path)
    async with working(world.worker()):
        failed = await ended(world, await world.ask())
    assert failed.reason == "no_base_model"
    assert "minilm" in failed.detail


async def test_a_job_that_dies_is_started_anew_and_then_given_up(world: World) -> None:
    async with working(world.worker(pace=replace(QUICK, starts=3))):
        training = await started(world)
        for attempt in (1, 2, 3):
            await eventually(partial(starts, world, training, attempt))
            jobs(world).kill(training.training_id)
        lost = await ended(world, training)
    assert (lost.reason, lost.attempts) == ("lost", 3)
    said = [TrainingStarted.FromString(one) for one in await world.said("training_started")]
    assert [one.training.attempts for one in said] == [1, 2, 3]


async def test_a_job_that_takes_too_long_is_stopped(database: Database, tmp_path: Path) -> None:
    world = World(database, tmp_path, plans=(plan(limits={"minutes": 10.0}),))
    await world.import_base()
    async with working(world.worker()):
        training = await started(world)
        jobs(world).advance(training.training_id, 1, 7, 0.5)

        async def seen() -> bool:
            return (await world.get(training)).progress.step == 1

        await eventually(seen)  # from here on its time counts
        world.pass_time(minutes=11)
        failed = await ended(world, training)
    assert failed.reason == "too_long"
    assert jobs(world).stopped == [training.training_id]


async def test_a_running_training_is_cancelled_with_its_job(world: World) -> None:
    async with working(world.worker()):
        training = await started(world)
        marked = await world.watch.cancel("acme", training.training_id, "ada", "wrong data")
        assert marked.cancelling
        done = await ended(world, training)
    assert (done.state, done.reason) == (TrainingState.CANCELLED, "")
    assert done.detail == "cancelled by ada: wrong data"
    assert jobs(world).stopped == [training.training_id]
    (said,) = await world.said("training_failed")
    assert TrainingFailed.FromString(said).training.state == TRAINING_STATE_CANCELLED


async def test_a_training_that_nobody_took_is_cancelled_at_once(world: World) -> None:
    training = await world.ask()
    done = await world.watch.cancel("acme", training.training_id, "ada", "")
    assert done.state is TrainingState.CANCELLED
    assert await world.trainings.claim("one", 10) is None
    assert len(await world.said("training_failed")) == 1


async def test_what_has_ended_stays_as_it_is(world: World) -> None:
    jobs(world).finishes = True
    async with working(world.worker()):
        done = await ended(world, await world.ask())
    assert await world.watch.cancel("acme", done.training_id, "ada", "too late") == done
    assert await world.said("training_failed") == []


async def test_a_strangers_training_is_not_there(world: World) -> None:
    training = await world.ask()
    for call in (
        world.watch.get("rival", training.training_id),
        world.watch.cancel("rival", training.training_id, "eve", ""),
    ):
        with pytest.raises(TrainingUnknown):
            await call
    assert (await world.get(training)).cancelling is False


async def test_another_process_goes_on_with_the_same_job(world: World) -> None:
    async with working(world.worker("one")):
        training = await started(world)
    async with working(world.worker("two")):
        jobs(world).finish(training.training_id)
        done = await ended(world, training)
    assert done.state is TrainingState.SUCCEEDED
    assert (done.attempts, jobs(world).jobs[training.training_id].starts) == (1, 1)


async def test_two_processes_share_and_none_is_done_twice(world: World) -> None:
    jobs(world).finishes = True
    trainings = [await world.ask(f"r-{n}") for n in range(6)]
    async with working(world.worker("one"), world.worker("two")):
        done = [await ended(world, one) for one in trainings]
    assert {one.state for one in done} == {TrainingState.SUCCEEDED}
    assert len({one.model for one in done}) == 6
    assert [job.starts for job in jobs(world).jobs.values()] == [1] * 6
    assert len(await world.said("model_trained")) == 6


async def test_who_lost_the_lease_writes_nothing_more(world: World) -> None:
    await world.ask()
    first = await world.trainings.claim("one", 10)
    assert first is not None
    assert await world.trainings.claim("two", 10) is None
    world.pass_time(seconds=11)
    second = await world.trainings.claim("two", 10)
    assert second is not None
    assert second.training_id == first.training_id
    assert not await world.trainings.renew(first.training_id, "one", 10)
    late = replace(first, state=TrainingState.ASSEMBLING)
    assert not await world.trainings.keep(late, "one")
    assert (await world.get(first)).state is TrainingState.REQUESTED


async def test_a_registry_that_is_away_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs(world).finishes = True
    from gyre_retraining.registry_ports import RegistryUnavailable

    register, away = world.registry.register, [True]

    async def refuses(record: object) -> object:
        if away:
            away.pop()
            raise RegistryUnavailable("not now")
        return await register(record)  # type: ignore[arg-type]

    monkeypatch.setattr(world.registry, "register", refuses)
    async with working(world.worker()):
        done = await ended(world, await world.ask())
    assert done.state is TrainingState.SUCCEEDED
    assert [str(one) for one in world.failures] == ["not now"]
    world.failures.clear()


async def test_a_step_that_never_works_ends_the_training(world: World) -> None:
    async def broken(*_: object) -> object:
        raise RuntimeError("a mistake")

    world.datasets.assemble = broken  # type: ignore[method-assign, assignment]
    async with working(world.worker(pace=replace(QUICK, tries=3))):
        failed = await ended(world, await world.ask())
    assert failed.reason == "trouble"
    assert len(world.failures) == 3
    world.failures.clear()


async def test_whoever_watches_sees_every_state_to_the_end(world: World) -> None:
    jobs(world).finishes = True
    training = await world.ask()
    seen = []
    async with working(world.worker()):
        async for one in world.watch.watch("acme", training.training_id):
            seen.append(one.state)
    assert seen[0] in (TrainingState.REQUESTED, TrainingState.ASSEMBLING)
    assert seen[-1] is TrainingState.SUCCEEDED


async def test_pages_come_newest_first(world: World) -> None:
    made = [(await world.ask(f"r-{n}")).training_id for n in range(5)]
    first = await world.watch.page("acme", "", 3, "")
    rest = await world.watch.page("acme", "tiny", 3, first[-1].training_id)
    assert [one.training_id for one in [*first, *rest]] == made[::-1]
    assert await world.watch.page("acme", "other", 3, "") == []


class Dying(DatabaseTrainings):
    """Its process dies at one of its writes: before it or right after it."""

    def __init__(self, world: World, write: int, *, after: bool) -> None:
        super().__init__(world.database, world.clock)
        self._left, self._after = write, after
        self.dead = asyncio.Event()

    async def keep(
        self,
        training: Training,
        owner: str,
        news: News | None = None,
        model: ModelVersion | None = None,
    ) -> bool:
        self._left -= 1
        if self._left == 0 and not self._after:
            await self._die()
        kept = await super().keep(training, owner, news, model)
        if self._left == 0:
            await self._die()
        return kept

    async def release(self, training_id: str, owner: str) -> None:
        """The dead release nothing."""

    async def _die(self) -> None:
        self.dead.set()
        await asyncio.sleep(3600)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("write", [1, 2, 3, 4, 5])
async def test_whoever_dies_at_whatever_write_leaves_one_training_and_one_model(
    database: Database, tmp_path: Path, write: int, after: bool
) -> None:
    world = World(database, tmp_path)
    await world.import_base()
    jobs(world).finishes = True
    training, alive = await world.ask(), world.trainings
    dying = world.trainings = Dying(world, write, after=after)
    async with working(world.worker("one")):
        await dying.dead.wait()
    world.trainings = alive
    world.pass_time(seconds=2)  # longer than the lease
    async with working(world.worker("two")):
        done = await ended(world, training)
    assert (done.state, done.model) == (TrainingState.SUCCEEDED, "minilm/2")
    assert [one.version for one in await world.browse.models("acme", "minilm")] == [2, 1]
    assert len(await world.said("model_trained")) == 1
    begun = [TrainingStarted.FromString(one) for one in await world.said("training_started")]
    # Dead between saying that the job starts and starting it, which the next one does.
    assert len(begun) == (2 if (write, after) == (3, True) else 1)
    assert jobs(world).jobs[training.training_id].starts == 1
    assert world.failures == []
