"""The registry's aliases follow what is in use, whatever the order in which it is told."""

from __future__ import annotations

import itertools
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from gyre.inference.v1.events_pb2 import ModelPromoted, ModelRolledBack
from gyre.inference.v1.rollout_pb2 import Rollout
from gyre.retrieval.v1.events_pb2 import IndexSwitched
from gyre_retraining.adapters.memory_registry import MemoryModelRegistry
from gyre_retraining.adapters.releases import DatabaseReleases
from gyre_retraining.domain.models import ModelKind, ModelRecord, StoredModel, signature_of
from gyre_retraining.domain.releases import Release, model_of, standing
from gyre_retraining.registry_ports import RegistryUnavailable
from gyre_retraining.use_cases.releasing import FollowReleases

sys.path.append(str(Path(__file__).parent))
from service_world import World, running
from training_world import database_of

RECORD = ModelRecord(
    tenant="acme",
    name="reader",
    kind=ModelKind.LANGUAGE,
    stored=StoredModel("/models/acme/reader/1", (), "c" * 64),
    register_time=datetime(2026, 3, 1, tzinfo=UTC),
    signature=signature_of(ModelKind.LANGUAGE, 8),
)


def released(cause: str, version: int, moment: float, in_use: bool = True) -> Release:
    return Release("acme", "reader", cause, version, moment, in_use)


STORY = [
    released("r-2", 2, 10.0),
    released("r-3", 3, 20.0),
    released("r-3", 3, 30.0, in_use=False),
    released("r-4", 4, 25.0, in_use=False),
]


class Flaky(MemoryModelRegistry):
    """Does not answer from the given number of changed aliases on."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = 1_000

    async def set_alias(self, *given: Any) -> Any:
        self._count()
        return await super().set_alias(*given)

    async def remove_alias(self, *given: Any) -> None:
        self._count()
        await super().remove_alias(*given)

    def _count(self) -> None:
        if not self.changes:
            raise RegistryUnavailable("away")
        self.changes -= 1


@dataclass
class Desk:
    """Four versions: the first is the champion, the last the candidate."""

    registry: Flaky
    follow: FollowReleases

    async def aliases(self) -> dict[str, int]:
        found = await self.registry.versions("acme", "reader")
        return {alias: one.version for one in found for alias in one.aliases}


@pytest.fixture(params=["sqlite", "postgres"])
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    async with database_of(request.param) as database:
        registry = Flaky()
        for number in range(1, 5):
            await registry.register(replace(RECORD, training_id=f"t-{number}"))
        await registry.set_alias("acme", "reader", "champion", 1)
        await registry.set_alias("acme", "reader", "candidate", 4)
        yield Desk(registry, FollowReleases(registry, DatabaseReleases(database)))


def test_what_is_in_use_is_told_from_all_that_was_heard() -> None:
    start = released("", 1, 0.0)
    assert standing([start]).champion == 1
    both = [start, released("r-2", 2, 10.0), released("r-3", 3, 20.0)]
    assert (standing(both).champion, standing(both).previous) == (3, 2)
    twice = [start, released("help", 2, 10.0), released("shop", 2, 20.0)]
    assert (standing(twice).champion, standing(twice).previous) == (2, 1)
    assert standing([released("", 0, 0.0), released("r-2", 2, 1.0, False)]).champion == 0


@pytest.mark.parametrize("reference", ["", "reader", "reader/", "/2", "reader/two", "reader/0"])
def test_what_names_no_version_is_none(reference: str) -> None:
    assert model_of(reference) is None
    assert model_of("reader/12") == ("reader", 12)


async def test_a_promotion_moves_the_champion_and_keeps_the_one_before(desk: Desk) -> None:
    await desk.follow.follow(released("r-4", 4, 10.0))
    assert await desk.aliases() == {"champion": 4, "previous": 1}
    await desk.follow.follow(released("r-4", 4, 10.0))
    assert await desk.aliases() == {"champion": 4, "previous": 1}
    await desk.follow.follow(released("r-4", 4, 20.0, in_use=False))
    assert await desk.aliases() == {"champion": 1}


async def test_one_that_was_never_promoted_is_no_candidate_any_more(desk: Desk) -> None:
    await desk.follow.follow(released("r-4", 4, 10.0, in_use=False))
    assert await desk.aliases() == {"champion": 1}
    await desk.follow.follow(released("r-3", 3, 10.0, in_use=False))
    assert await desk.aliases() == {"champion": 1}


async def test_a_newer_candidate_stays(desk: Desk) -> None:
    await desk.follow.follow(released("r-3", 3, 10.0))
    assert await desk.aliases() == {"champion": 3, "previous": 1, "candidate": 4}


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
async def test_the_order_in_which_it_is_told_does_not_matter(
    desk: Desk, order: tuple[int, ...]
) -> None:
    for place in (*order, *order):
        await desk.follow.follow(STORY[place])
    assert await desk.aliases() == {"champion": 2, "previous": 1}


@pytest.mark.parametrize("changes", range(4))
async def test_what_ended_half_way_is_ended_by_the_repetition(desk: Desk, changes: int) -> None:
    desk.registry.changes = changes
    promotion = released("r-4", 4, 10.0)
    if changes < 3:
        with pytest.raises(RegistryUnavailable):
            await desk.follow.follow(promotion)
    desk.registry.changes = 1_000
    await desk.follow.follow(promotion)
    assert await desk.aliases() == {"champion": 4, "previous": 1}


async def test_a_model_that_the_registry_does_not_know_is_passed_over(desk: Desk) -> None:
    before = await desk.aliases()
    await desk.follow.follow(released("r-9", 9, 10.0))
    await desk.follow.follow(replace(released("r-9", 1, 10.0), name="writer"))
    await desk.follow.follow(replace(released("r-9", 1, 10.0), tenant="globex"))
    assert await desk.aliases() == before


def rollout(model: str, number: int) -> Rollout:
    made = Rollout(rollout_id=f"rollout-of-{model}", model=model, number=number)
    made.changes.add().change_time.FromSeconds(1_800_000_000 + number)
    return made


def switched(model: str, number: int, back: bool = False) -> IndexSwitched:
    event = IndexSwitched(reindex_id=f"reindex-of-{model}", model=model, back=back)
    event.switch_time.FromSeconds(1_800_000_000 + number)
    return event


async def aliases(world: World, events: list[Message], tenant: str = "acme") -> dict[str, int]:
    for event in events:
        world.say(event, uuid.uuid4().hex, tenant)
    await world.exchange.settled(60)
    found = [one for one in await world.models() if one.name == "tiny"]
    return {alias: one.version for one in found for alias in one.aliases}


async def test_the_next_training_starts_from_what_was_promoted(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.judged(24)
        first = await world.watched((await world.start()).training_id)
        assert (first.base_model, first.model) == ("tiny/1", "tiny/2")
        promoted = ModelPromoted(rollout=rollout("tiny/2", 5), previous="tiny")
        assert await aliases(world, [promoted]) == {"champion": 2, "previous": 1}
        second = await world.watched((await world.start(request_id="r-2")).training_id)
        assert (second.base_model, second.model) == ("tiny/2", "tiny/3")
        refused = ModelRolledBack(rollout=rollout("tiny/3", 3))
        assert await aliases(world, [refused]) == {"champion": 2, "previous": 1}
        foreign = [
            ModelPromoted(rollout=Rollout(rollout_id="of a prompt")),
            ModelPromoted(rollout=rollout("elsewhere/7", 1)),
        ]
        assert await aliases(world, foreign) == {"champion": 2, "previous": 1}
        there = switched("tiny/3", 9)
        assert await aliases(world, [there]) == {"champion": 3, "previous": 2}
        assert await aliases(world, [switched("tiny/3", 11, back=True), there]) == {
            "champion": 2,
            "previous": 1,
        }
        taken_back = ModelRolledBack(rollout=rollout("tiny/2", 20), was_promoted=True)
        assert await aliases(world, [taken_back, promoted]) == {"champion": 1}
