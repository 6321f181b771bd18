"""Trainings are worked on: claimed, gone on with where another process left them, ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gyre_retraining.dataset_ports import AssemblyUnavailable
from gyre_retraining.domain.jobs import JobState, Order, Result, Seen
from gyre_retraining.domain.models import ModelVersion
from gyre_retraining.domain.trainings import (
    DatasetUnknown,
    Training,
    TrainingImpossible,
    TrainingState,
)
from gyre_retraining.ports import Assembled, Clock, Datasets, Jobs, JobsUnavailable, News, Trainings
from gyre_retraining.registry_ports import RegistryUnavailable
from gyre_retraining.use_cases.making import MakeModels, name_of

PATIENT = (AssemblyUnavailable, JobsUnavailable, RegistryUnavailable)
LONGEST_DETAIL = 1000


class _Lost(Exception):
    """The training is another's by now, or has ended."""


@dataclass(frozen=True, slots=True)
class Pace:
    """at_once: trainings of this process. lease: seconds after which another may take one over.
    pause: seconds between looks at a job. said: seconds between two words about its progress.
    starts: of a job that ends without a word. tries: of a step that does not work. wait: seconds
    before such a step is tried again, doubled each time."""

    at_once: int = 1
    lease: float = 30.0
    pause: float = 1.0
    said: float = 2.0
    starts: int = 5
    tries: int = 8
    wait: float = 1.0
    longest_wait: float = 60.0


@dataclass(frozen=True, slots=True)
class Bench:
    """What the work is done with. tracking_uri: for jobs; empty where nothing is tracked."""

    trainings: Trainings
    datasets: Datasets
    jobs: Jobs
    models: MakeModels
    clock: Clock
    tracking_uri: str = ""


@dataclass(frozen=True, slots=True)
class Watch:
    """failed: told of what should not happen; the work goes on. ended: told of every end."""

    failed: Callable[[Exception], None]
    ended: Callable[[Training], None]


class WorkOnTrainings:
    """owner: names this process."""

    def __init__(self, bench: Bench, pace: Pace, watch: Watch, *, owner: str) -> None:
        self._bench = bench
        self._pace = pace
        self._watch = watch
        self._owner = owner
        self._called = asyncio.Event()

    def call(self) -> None:
        """There is a new training, or one is to be stopped."""
        self._called.set()

    async def run(self) -> None:
        """Until cancelled; what is left goes on in another process, or after the next start."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._pace.at_once):
                group.create_task(self._take_turns())

    async def _take_turns(self) -> None:
        while True:
            self._called.clear()
            try:
                claimed = await self._bench.trainings.claim(self._owner, self._pace.lease)
                if claimed is not None:
                    await self._hold(claimed)
                    continue
            except Exception as error:  # the store may be away for a moment
                self._watch.failed(error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._called.wait(), self._pace.pause)

    async def _hold(self, training: Training) -> None:
        """Works for as long as the lease is ours; what is left by a stop is free at once."""
        work = asyncio.create_task(self.work(training))
        trainings, identity = self._bench.trainings, training.training_id
        try:
            while not work.done():
                await asyncio.wait([work], timeout=self._pace.lease / 3)
                if work.done() or not await trainings.renew(
                    identity, self._owner, self._pace.lease
                ):
                    break
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await trainings.release(identity, self._owner)

    async def work(self, training: Training) -> None:
        """From where it stands to its end, or until it is another's."""
        sitting = _Sitting(self._bench, self._pace, self._owner)
        tries = 0
        while not training.state.ended:
            try:
                training = await self._steps(sitting, training, tries)
                tries = 0
            except _Lost:
                return
            except Exception as error:
                self._watch.failed(error)
                tries += not isinstance(error, PATIENT)
                wait = self._pace.wait * 2 ** min(tries, 10)
                await asyncio.sleep(min(wait, self._pace.longest_wait))
        self._watch.ended(training)

    async def _steps(self, sitting: _Sitting, training: Training, tries: int) -> Training:
        """One step. A training that cannot go on must end: claimed again, it would fail again."""
        try:
            if tries >= self._pace.tries:
                raise TrainingImpossible("trouble", "a step failed again and again; see the log")
            current = await self._bench.trainings.get(training.tenant, training.training_id)
            return await sitting.step(current)
        except TrainingImpossible as error:
            return await sitting.fail(training, error)


class _Sitting:
    """One process at work on one training. seen_time: of the last look at its job."""

    def __init__(self, bench: Bench, pace: Pace, owner: str) -> None:
        self._bench = bench
        self._pace = pace
        self._owner = owner
        self._said_time: datetime | None = None
        self._seen_time: datetime | None = None
        self._seconds = 0.0

    async def step(self, training: Training) -> Training:
        """The training after one step. Raises `TrainingImpossible` and `_Lost`."""
        if training.cancelling and training.state.can_be_cancelled:
            return await self._cancelled(training)
        steps: dict[TrainingState, Callable[[Training], Awaitable[Training]]] = {
            TrainingState.REQUESTED: self._begin,
            TrainingState.ASSEMBLING: self._assemble,
            TrainingState.RUNNING: self._follow,
            TrainingState.REGISTERING: self._register,
        }
        if training.state.ended:
            raise _Lost
        return await steps[training.state](training)

    async def fail(self, training: Training, error: TrainingImpossible) -> Training:
        """Raises `_Lost`."""
        current = await self._bench.trainings.get(training.tenant, training.training_id)
        await self._bench.jobs.stop(training.training_id)
        ended = replace(
            current,
            state=TrainingState.FAILED,
            reason=error.reason,
            detail=error.detail[:LONGEST_DETAIL],
            seconds=current.seconds + self._take_seconds(),
            end_time=self._bench.clock(),
        )
        return await self._keep(ended, News.FAILED)

    async def _cancelled(self, training: Training) -> Training:
        await self._bench.jobs.stop(training.training_id)
        seconds = training.seconds + self._take_seconds()
        state = TrainingState.CANCELLED
        ended = replace(training, state=state, seconds=seconds, end_time=self._bench.clock())
        return await self._keep(ended, News.FAILED)

    async def _begin(self, training: Training) -> Training:
        return await self._keep(replace(training, state=TrainingState.ASSEMBLING))

    async def _assemble(self, training: Training) -> Training:
        dataset = await self._dataset(training)
        base = await self._bench.models.base(training.tenant, training.plan.base_model)
        return await self._keep(
            replace(
                training,
                state=TrainingState.RUNNING,
                dataset_id=dataset.dataset_id,
                base_model=base.model,
            )
        )

    async def _follow(self, training: Training) -> Training:
        seen = await self._bench.jobs.look(training.training_id)
        if seen.state is JobState.RUNNING:
            return await self._running(training, seen)
        if seen.state is JobState.ABSENT:
            return await self._start(training)
        if seen.result is not None:
            return await self._trained(training, seen, seen.result)
        raise TrainingImpossible(seen.reason, seen.detail)

    async def _start(self, training: Training) -> Training:
        """Counted before it is started: killed in between, it is started at the next look."""
        if training.attempts >= self._pace.starts:
            often = f"its job ended {training.attempts} times without a word; see its log"
            raise TrainingImpossible("lost", often)
        order = await self._order(training)
        seconds = training.seconds + self._take_seconds()
        self._seen_time = None
        started = replace(
            training,
            attempts=training.attempts + 1,
            seconds=seconds,
            start_time=training.start_time or self._bench.clock(),
        )
        started = await self._keep(started, News.STARTED)
        await self._bench.jobs.start(order)
        return started

    async def _running(self, training: Training, seen: Seen) -> Training:
        self._count_seconds()
        limit = training.plan.limits.minutes
        if limit and training.seconds + self._seconds > limit * 60:
            raise TrainingImpossible("too_long", f"it took more than {limit:g} minutes")
        if seen.progress != training.progress and self._may_say():
            seconds = training.seconds + self._take_seconds()
            training = replace(training, progress=seen.progress, seconds=seconds)
            training = await self._keep(training, News.PROGRESSED)
            self._said_time = self._bench.clock()
        await asyncio.sleep(self._pace.pause)
        return training

    async def _trained(self, training: Training, seen: Seen, result: Result) -> Training:
        done = replace(
            training,
            state=TrainingState.REGISTERING,
            progress=replace(seen.progress, metrics=result.metrics, step=result.steps),
            peak_memory_bytes=result.peak_memory_bytes,
            seconds=result.seconds,
            tracking_run_id=result.tracking_run_id,
        )
        return await self._keep(done, News.PROGRESSED)

    async def _register(self, training: Training) -> Training:
        seen = await self._bench.jobs.look(training.training_id)
        if seen.result is None:
            raise TrainingImpossible("lost", "what its job wrote is not there any more")
        dataset = await self._bench.datasets.describe(training.tenant, training.dataset_id)
        model = await self._bench.models.register(training, dataset.facts, seen.result)
        ended = replace(
            training,
            state=TrainingState.SUCCEEDED,
            model=model.model,
            end_time=self._bench.clock(),
        )
        ended = await self._keep(ended, News.TRAINED, model)
        with contextlib.suppress(JobsUnavailable):  # it only takes room
            await self._bench.jobs.clear(training.training_id)
        return ended

    async def _order(self, training: Training) -> Order:
        dataset = await self._dataset(training)
        base = await self._bench.models.base(training.tenant, training.base_model)
        return Order(
            training_id=training.training_id,
            plan=training.plan,
            dataset=dataset.folder,
            base_model=base.folder,
            tracking_uri=self._bench.tracking_uri,
            name=name_of(training.plan),
        )

    async def _dataset(self, training: Training) -> Assembled:
        if not training.dataset_id:
            return await self._bench.datasets.assemble(
                training.tenant, training.plan, training.request_time
            )
        try:
            return await self._bench.datasets.find(training.tenant, training.dataset_id)
        except DatasetUnknown as error:
            detail = f"dataset {training.dataset_id} is not there any more"
            raise TrainingImpossible("no_dataset", detail) from error

    async def _keep(
        self, training: Training, news: News | None = None, model: ModelVersion | None = None
    ) -> Training:
        if not await self._bench.trainings.keep(training, self._owner, news, model):
            raise _Lost
        return training

    def _may_say(self) -> bool:
        last = self._said_time
        return last is None or self._bench.clock() - last >= timedelta(seconds=self._pace.said)

    def _count_seconds(self) -> None:
        now = self._bench.clock()
        if self._seen_time is not None:
            self._seconds += (now - self._seen_time).total_seconds()
        self._seen_time = now

    def _take_seconds(self) -> float:
        seconds, self._seconds = self._seconds, 0.0
        return seconds
