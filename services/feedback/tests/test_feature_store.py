"""One promise of the feature store, kept by the twin and by Feast in its own process."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from gyre_feedback.adapters.feast import FeastFeatureStore
from gyre_feedback.adapters.memory import MemoryFeatureStore
from gyre_feedback.domain.judgements import Judgement, Target
from gyre_feedback.domain.scores import Entity, EntityKind
from gyre_feedback.ports import FeatureQuery, FeatureRow, FeatureStore, FeaturesUnavailable
from gyre_feedback.use_cases.features import ReadFeatures, StreamFeatures

PROMPT = Entity("acme", EntityKind.PROMPT, "answer/1", "helpful")
OTHER = Entity("globex", EntityKind.PROMPT, "answer/1", "helpful")
START = 1_800_000_000.0
DAY = 86_400.0


def row(moment: float, judgements: float, entity: Entity = PROMPT) -> FeatureRow:
    values = dict.fromkeys(("score", "mean", "accounts", "votes"), 0.5)
    return FeatureRow(entity, START + moment, {**values, "judgements": judgements})


@pytest.fixture(params=["memory", "feast"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FeatureStore]:
    memory = request.param == "memory"
    made: FeatureStore = (
        MemoryFeatureStore() if memory else FeastFeatureStore(tmp_path, "sqlite", timeout=120)
    )
    yield made
    await made.close()


async def judgements(store: FeatureStore, *queries: FeatureQuery) -> list[float | None]:
    found = await store.read(EntityKind.PROMPT, queries)
    return [one and one.values["judgements"] for one in found]


async def test_what_was_written_is_read_now_and_as_of_a_time(store: FeatureStore) -> None:
    await store.write(EntityKind.PROMPT, [row(1, 1), row(3, 3)], "1-2")
    await store.write(EntityKind.PROMPT, [row(1, 1), row(3, 3)], "1-2")
    assert await judgements(store, FeatureQuery(PROMPT), FeatureQuery(OTHER)) == [3, None]
    moments = [FeatureQuery(PROMPT, START + moment) for moment in (0.5, 1.0, 2.0, 9.0)]
    assert await judgements(store, *moments) == [None, 1, 1, 3]
    (found,) = await store.read(EntityKind.PROMPT, [FeatureQuery(PROMPT)])
    assert found is not None
    assert found.event_time == START + 3


async def test_a_killed_worker_starts_again_with_all_it_knew(tmp_path: Path) -> None:
    store = FeastFeatureStore(tmp_path, "sqlite", timeout=120)
    await store.write(EntityKind.PROMPT, [row(1, 1)], "1-1")
    assert store.worker.pid is not None
    os.kill(store.worker.pid, signal.SIGKILL)
    with contextlib.suppress(FeaturesUnavailable):  # told, unless its end was seen before
        await store.read(EntityKind.PROMPT, [FeatureQuery(PROMPT)])
    assert await judgements(store, FeatureQuery(PROMPT)) == [1]
    await store.close()


async def test_late_feedback_is_known_from_its_arrival_on_not_from_when_it_was_given(
    world: Any,
) -> None:
    """A training set of a moment holds nothing that came later, whatever clients claim."""
    store = MemoryFeatureStore()
    stream = StreamFeatures(world.effects, store, pause=0.0, failed=world.failures.append)
    await world.answer()
    await world.judge("f-1", True)
    first = world.now
    await world.project.all()
    world.now += 3 * DAY
    given = datetime.fromtimestamp(first - DAY, UTC)
    late = Judgement("f-2", 1, Target("a-1"), "helpful", False, give_time=given)
    await world.submitting.submit("acme", "rival", late)
    await world.project.all()
    while await stream.once():
        pass
    moments = [first - DAY, first, first + 2 * DAY, world.now]
    queries = [FeatureQuery(PROMPT, moment) for moment in moments]
    assert await judgements(store, *queries) == [None, 1, 1, 2]
    assert await ReadFeatures(store).read(EntityKind.PROMPT, [FeatureQuery(PROMPT)])


async def test_features_wait_while_the_store_is_away_and_arrive_once(world: Any) -> None:
    class Away(MemoryFeatureStore):
        away = True

        async def write(self, *given: Any) -> None:
            if self.away:
                raise FeaturesUnavailable("away")
            await super().write(*given)

    store = Away()
    stream = StreamFeatures(world.effects, store, pause=0.0, failed=world.failures.append)
    await world.answer()
    await world.judge("f-1", True)
    await world.project.all()
    with pytest.raises(FeaturesUnavailable):
        await stream.once()
    store.away = False
    await stream.once()
    assert await judgements(store, FeatureQuery(PROMPT)) == [1]
    assert (await world.effects.waiting(10))[0] == []
