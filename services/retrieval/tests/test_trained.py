"""Indexes of embedders that were trained: wished for, filled, and used or given up by a gate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from gyre_retrieval.adapters.memory import MemoryVectorIndex
from gyre_retrieval.domain.errors import CollectionUnknown, IndexUnknown
from gyre_retrieval.domain.query import Conditions, Mode, Query
from gyre_retrieval.domain.reindex import (
    Gate,
    Reindex,
    ReindexState,
    Step,
    Verdict,
    is_newer,
    refusal,
    step_of,
)
from gyre_retrieval.use_cases.trained import FollowTraining, HearOfTraining
from reindex_world import NEW, NEW_DIMENSION, THIRD, ReindexWorld, sqlite_in, world_on
from retrieval_builders import EMBEDDER, index, key, part
from test_reindexing import empty_postgres, said

PASSED = Gate("g1", Verdict.PASS)
FAILED = Gate("g1", Verdict.FAIL, reasons="it finds less")


@dataclass
class World:
    """A world with what follows trainings. said: what the outbox holds of indexes."""

    inner: ReindexWorld
    hear: HearOfTraining
    follow: FollowTraining
    errors: list[Exception]

    async def ready(
        self, embedder: str = NEW, model: str = "minilm/1", training: str = "", tenant: str = "acme"
    ) -> int:
        told = (embedder, NEW_DIMENSION, model, training or f"t-{model}")
        return await self.hear.embedder(tenant, *told)

    async def look(self) -> None:
        """Fills what is to be filled, and follows."""
        await self.follow.look()
        while await self.inner.reindexer.round():
            pass
        await self.follow.look()

    async def reindexes(self) -> list[Reindex]:
        """Newest first."""
        return await self.inner.reindexes.newest("", 50, 0)


@pytest.fixture(params=["sqlite", "postgres"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    url = sqlite_in(tmp_path) if request.param == "sqlite" else await empty_postgres()
    async with world_on(url, MemoryVectorIndex()) as inner:
        errors: list[Exception] = []
        follow = FollowTraining(
            inner.reindexes, inner.manage, pause=60.0, moved=lambda: None, failed=errors.append
        )
        hear = HearOfTraining(
            inner.catalogue, inner.reindexes, tenants=frozenset({"acme"}), called=follow.call
        )
        for number in range(3):
            await inner.hear(f"d{number}", [f"common words of number{number}"])
        yield World(inner, hear, follow, errors)


async def test_each_collection_with_an_index_gets_one_and_only_once(world: World) -> None:
    await world.inner.documents.receive(part(key("e0", collection="other"), ["other words"]))
    await world.inner.catalogue.make_collection("acme", "empty")
    for _ in range(2):
        assert await world.ready() == 2
        await world.look()
    made = await world.reindexes()
    assert {one.collection for one in made} == {"default", "other"}
    assert {(one.gated, one.model, one.principal) for one in made} == {
        (True, "minilm/1", "retrieval")
    }
    assert {one.state for one in made} == {ReindexState.READY}
    for one in made:
        await world.inner.manage.abort(one.reindex_id, "")
    told = [one.embedder_needed for one in await said(world.inner) if hasattr(one, "reason")]
    assert told == [True, False]
    await world.ready()
    await world.look()
    assert len(await world.reindexes()) == 2


async def test_a_stranger_s_embedder_is_left_alone(world: World) -> None:
    assert await world.ready(tenant="rival") == 0
    await world.look()
    assert await world.reindexes() == []


async def test_the_newest_supersedes_what_still_fills_and_an_older_one_never_does(
    world: World,
) -> None:
    await world.ready(NEW, "minilm/2")
    await world.follow.look()
    await world.ready("never-loaded", "minilm/1")
    await world.look()
    assert [one.model for one in await world.reindexes()] == ["minilm/2"]
    await world.ready(THIRD, "minilm/4")
    await world.ready("never-loaded", "minilm/3")
    await world.look()
    newest, before = await world.reindexes()
    assert (newest.model, newest.state) == ("minilm/4", ReindexState.READY)
    assert (before.state, before.detail) == (ReindexState.ABORTED, "superseded by minilm/4")
    await world.inner.manage.switch(newest.reindex_id, back=False)
    await world.ready("never-loaded", "minilm/3", training="late")
    await world.look()
    assert len(await world.reindexes()) == 2
    assert world.errors == []


async def test_a_kill_between_giving_up_and_starting_is_got_over(world: World) -> None:
    await world.ready(NEW, "minilm/1")
    await world.look()
    await world.ready(THIRD, "minilm/2")
    start, world.inner.reindexes.start = world.inner.reindexes.start, _killed
    await world.follow.look()
    assert [str(error) for error in world.errors] == ["killed"]
    world.inner.reindexes.start = start
    await world.look()
    states = [(one.model, one.state) for one in await world.reindexes()]
    assert states == [("minilm/2", ReindexState.READY), ("minilm/1", ReindexState.ABORTED)]


async def _killed(reindex: Reindex) -> None:
    raise RuntimeError("killed")


async def test_a_persons_one_is_waited_for(world: World) -> None:
    person = (await world.inner.start()).reindex
    await world.ready(THIRD, "minilm/1")
    await world.look()
    assert [one.reindex_id for one in await world.reindexes()] == [person.reindex_id]
    await world.inner.manage.switch(person.reindex_id, back=False)
    await world.look()
    newest = (await world.reindexes())[0]
    assert (newest.model, newest.previous) == ("minilm/1", person.index)


@pytest.mark.parametrize("word_first", [True, False])
async def test_a_pass_that_a_person_must_grant_switches_in_whatever_order_it_is_heard(
    world: World, word_first: bool
) -> None:
    await world.ready()
    await world.look()
    [reindex] = await world.reindexes()
    verdict = ("verdict", replace(PASSED, needs_approval=True))
    word = ("word", Gate("g1", granted=True))
    for what, gate in (word, verdict) if word_first else (verdict, word):
        assert (await world.reindexes())[0].state is ReindexState.READY
        for _ in range(2):
            await getattr(world.hear, what)("acme", reindex.reindex_id, gate)
        await world.look()
    [after] = await world.reindexes()
    assert (after.state, after.gate.gate_id) == (ReindexState.SWITCHED, "g1")
    await world.inner.manage.switch(reindex.reindex_id, back=True)
    await world.look()
    assert (await world.reindexes())[0].state is ReindexState.READY
    switched = [one for one in await said(world.inner) if hasattr(one, "back")]
    assert [(one.model, one.back) for one in switched] == [("minilm/1", False), ("minilm/1", True)]


@pytest.mark.parametrize(
    ("gate", "what", "why"),
    [
        (FAILED, "verdict", "gate g1: fail: it finds less"),
        (Gate("", Verdict.INSUFFICIENT, reasons="no policy"), "verdict", "insufficient: no policy"),
        (
            Gate("g1", reasons="ann: too early", granted=False),
            "word",
            "by a person: ann: too early",
        ),
    ],
)
async def test_all_else_gives_it_up_with_the_reason(
    world: World, gate: Gate, what: str, why: str
) -> None:
    await world.ready()
    await world.look()
    [reindex] = await world.reindexes()
    for tenant, cause in (("rival", reindex.reindex_id), ("acme", "a-rollout")):
        await getattr(world.hear, what)(tenant, cause, gate)
    await world.look()
    assert (await world.reindexes())[0].state is ReindexState.READY
    for _ in range(2):
        await getattr(world.hear, what)("acme", reindex.reindex_id, gate)
        await world.look()
    [after] = await world.reindexes()
    assert after.state is ReindexState.ABORTED
    assert why in after.detail
    built, aborted = await said(world.inner)
    assert (built.gated, built.model, built.previous.name) == (True, "minilm/1", index().name)
    assert (aborted.model, aborted.embedder_needed) == ("minilm/1", False)


async def test_no_gate_decides_over_one_that_a_person_decides_over(world: World) -> None:
    person = (await world.inner.start()).reindex
    await world.hear.verdict("acme", person.reindex_id, PASSED)
    await world.look()
    [after] = await world.reindexes()
    assert (after.state, after.gate) == (ReindexState.READY, Gate())


async def test_an_index_that_holds_all_can_be_searched_by_its_name(world: World) -> None:
    await world.ready()
    await world.follow.look()
    [reindex] = await world.reindexes()
    filling = reindex.index.name
    with pytest.raises(IndexUnknown):
        await _found(world, filling)
    await world.look()
    for name in (filling, index().name):
        assert await _found(world, name) == name
    await world.inner.manage.switch(reindex.reindex_id, back=False)
    for name in (filling, index().name):
        assert await _found(world, name) == name
    with pytest.raises(IndexUnknown):
        await _found(world, "gyre_default_of_nobody")
    with pytest.raises(CollectionUnknown):
        await _found(world, filling, tenant="rival")
    assert (reindex.previous.embedder, reindex.index.embedder) == (EMBEDDER, NEW)


async def _found(world: World, name: str, tenant: str = "acme") -> str:
    query = Query("words of number1", Mode.DENSE, 5, Conditions(tenant, "default"))
    answer = await world.inner.passages.search_named(query, name)
    assert answer.hits[0].passage.chunk.text.endswith("number1")
    return answer.index_version


@pytest.mark.parametrize(
    ("changed", "step"),
    [
        ({"gate": PASSED}, Step.SWITCH),
        ({"gate": replace(PASSED, needs_approval=True)}, None),
        ({"gate": replace(PASSED, needs_approval=True, granted=True)}, Step.SWITCH),
        ({"gate": replace(PASSED, granted=False)}, Step.ABORT),
        ({"gate": Gate(granted=True)}, None),
        ({"gate": FAILED}, Step.ABORT),
        ({"gate": PASSED, "gated": False}, None),
        ({"gate": PASSED, "state": ReindexState.FILLING}, None),
        ({"gate": FAILED, "state": ReindexState.SWITCHED}, None),
        ({"gate": PASSED, "switch_time": 1.0}, None),
    ],
)
def test_what_follows_from_a_gate(changed: dict[str, Any], step: Step | None) -> None:
    ready = Reindex("r", "acme", "", "", index(), index(), 0.0, ReindexState.READY, gated=True)
    assert step_of(replace(ready, **changed)) is step


def test_versions_of_one_name_are_ordered_and_others_are_not() -> None:
    assert is_newer("minilm/10", "minilm/9")
    assert not is_newer("minilm/9", "minilm/9")
    assert not is_newer("minilm/9", "minilm/10")
    assert is_newer("bge/1", "minilm/9")
    assert is_newer("minilm/1", "")
    assert len(refusal(Gate("g", Verdict.FAIL, reasons="x" * 5000))) == 1000
