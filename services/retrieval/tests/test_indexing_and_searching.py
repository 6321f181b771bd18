"""The stories on the twins in memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from gyre_retrieval.adapters.memory import MemoryCatalogue, MemoryEmbedder, MemoryVectorIndex
from gyre_retrieval.domain.document import Indexed, Verdict
from gyre_retrieval.domain.errors import (
    ChunkUnknown,
    CollectionUnknown,
    EmbedderMismatch,
    PartRefused,
)
from gyre_retrieval.domain.identity import Version
from gyre_retrieval.domain.index import Index, InForce
from gyre_retrieval.domain.passage import EmbeddedPassage, Part
from gyre_retrieval.domain.query import Answer, Conditions, Found, Mode, Query, Route
from gyre_retrieval.domain.ranking import Fusion, FusionMethod
from gyre_retrieval.domain.vector import Vector
from gyre_retrieval.ports import IndexUnavailable, Leaving
from gyre_retrieval.use_cases.collections import BrowseCollections
from gyre_retrieval.use_cases.indexing import IndexDocuments
from gyre_retrieval.use_cases.searching import SearchPassages
from gyre_retrieval.use_cases.sweeping import Sweeper
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from retrieval_builders import EMBEDDER, HOSTILE, index, key, part, vector_of

FUSION = Fusion(FusionMethod.RANKS, {Route.DENSE: 1.0, Route.LEXICAL: 1.0}, 20)
MODES = [Mode.DENSE, Mode.LEXICAL, Mode.HYBRID]


class World:
    """All stories around one catalogue and one index."""

    def __init__(self, kept: MemoryVectorIndex | None = None) -> None:
        self.catalogue = MemoryCatalogue()
        self.kept = kept or MemoryVectorIndex()
        self.errors: list[Exception] = []
        self.sweeper = Sweeper(self.catalogue, self.kept, pause=60.0, failed=self.errors.append)
        embedder = MemoryEmbedder(EMBEDDER, lambda text: vector_of(text).tolist())
        self.documents = IndexDocuments(
            self.catalogue, self.kept, embedder, sweep=self.sweeper.call
        )
        self.passages = SearchPassages(self.catalogue, self.kept, embedder, FUSION)
        self.browse = BrowseCollections(self.catalogue, self.kept)

    async def search(
        self, text: str, mode: Mode = Mode.HYBRID, top_k: int = 10, **conditions: object
    ) -> Answer:
        where = Conditions(**{"tenant": "acme", "collection": "default", **conditions})  # type: ignore[arg-type]
        return await self.passages.search(Query(text, mode, top_k, where))

    async def texts(self, text: str, mode: Mode = Mode.HYBRID, **conditions: object) -> list[str]:
        answer = await self.search(text, mode, **conditions)
        return [hit.passage.chunk.text for hit in answer.hits]

    def stored(self) -> set[tuple[object, ...]]:
        return {row for rows in self.kept.rows.values() for row in rows}


async def becomes(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to be")


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("mode", MODES)
async def test_a_document_is_found_when_all_its_parts_are_in(world: World, mode: Mode) -> None:
    first = part(key("d"), ["first words"], part_index=0, part_count=2)
    second = part(key("d"), ["second words"], part_index=1, part_count=2)
    assert await world.documents.receive(second) is Verdict.STORED
    assert await world.texts("words", mode) == []
    assert await world.documents.receive(first) is Verdict.INDEXED
    assert sorted(await world.texts("words", mode)) == ["first words", "second words"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_new_revision_replaces_the_old_one_at_once(world: World, mode: Mode) -> None:
    await world.documents.receive(part(key("d"), ["old words"]))
    await world.documents.receive(part(key("d"), ["new words"], revision=2))
    assert await world.texts("words", mode) == ["new words"]
    await world.sweeper.sweep()
    assert await world.texts("words", mode) == ["new words"]
    assert {version for _, version, _ in world.stored()} == {Version(2, 1)}


async def test_a_deleted_document_is_gone_at_once_and_then_from_the_index(world: World) -> None:
    await world.documents.receive(part(key("d"), ["some words"]))
    assert await world.documents.delete(key("d"), 1, "r1") is Verdict.UNINDEXED
    assert await world.texts("words") == []
    assert world.stored()
    assert await world.sweeper.sweep() == 1
    assert not world.stored()


async def test_a_stale_part_is_not_stored(world: World) -> None:
    await world.documents.receive(part(key("d"), ["new words"], revision=2))
    assert await world.documents.receive(part(key("d"), ["old words"])) is Verdict.STALE
    assert {version for _, version, _ in world.stored()} == {Version(2, 1)}


class Overtaken(MemoryVectorIndex):
    """Its first store is overtaken by all others, and ends while the first removal is under way."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.removing, self.recorded = (asyncio.Event() for _ in range(3))

    async def store(self, index: Index, passages: Sequence[EmbeddedPassage]) -> None:
        if not self.begun.is_set():
            self.begun.set()
            await self.removing.wait()
        await super().store(index, passages)

    async def remove(self, index: Index, leavings: Sequence[Leaving]) -> None:
        await super().remove(index, leavings)
        self.removing.set()
        await self.recorded.wait()


async def test_a_part_stored_once_more_while_its_version_is_swept_is_swept_again() -> None:
    kept = Overtaken()
    world = World(kept)
    late = asyncio.create_task(world.documents.receive(part(key("d"), ["old words"])))
    late.add_done_callback(lambda _: kept.recorded.set())
    await kept.begun.wait()
    await world.documents.receive(part(key("d"), ["old words"]))
    await world.documents.receive(part(key("d"), ["new words"], revision=2))
    await world.sweeper.sweep()
    assert await late is Verdict.STALE
    assert {version for _, version, _ in world.stored()} == {Version(2, 1)}


async def test_a_copy_that_is_applied_already_leaves_no_passage_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = Overtaken()
    world = World(kept)
    late = asyncio.create_task(world.documents.receive(part(key("d"), ["old words"])))
    late.add_done_callback(lambda _: kept.recorded.set())
    await kept.begun.wait()
    await world.documents.receive(part(key("d"), ["old words"]))
    await world.documents.receive(part(key("d"), ["new words"], revision=2))

    def applied(document: object) -> None:
        raise LookupError("as the inbox refuses a copy")

    monkeypatch.setattr(world.catalogue, "changing", applied)
    await world.sweeper.sweep()
    with pytest.raises(LookupError):
        await late
    assert {version for _, version, _ in world.stored()} == {Version(2, 1)}


async def test_a_part_that_fails_to_be_stored_is_not_recorded(world: World) -> None:
    world.kept.down = True
    with pytest.raises(IndexUnavailable):
        await world.documents.receive(part(key("d"), ["words"]))
    world.kept.down = False
    assert await world.documents.receive(part(key("d"), ["words"])) is Verdict.INDEXED


async def test_vectors_of_another_embedder_are_made_anew_by_the_indexs(world: World) -> None:
    await world.documents.receive(part(key("d"), ["alpha words"]))
    strange = replace(part(key("e"), ["alpha words"], embedder="other"), dimension=3)
    assert await world.documents.receive(strange) is Verdict.INDEXED
    hits = (await world.search("alpha words", Mode.DENSE)).hits
    assert [hit.score for hit in hits] == [pytest.approx(1.0, abs=1e-5)] * 2


async def test_a_query_of_another_embedder_is_refused(world: World) -> None:
    await world.documents.receive(part(key("d"), ["words"]))
    stranger = MemoryEmbedder("other", lambda text: vector_of(text).tolist())
    search = SearchPassages(world.catalogue, world.kept, stranger, FUSION)
    with pytest.raises(EmbedderMismatch):
        await search.search(Query("x", Mode.DENSE, 1, Conditions("acme", "default")))


@pytest.mark.parametrize("name", ["", "UPPER", "a b", "x" * 65, *HOSTILE])
async def test_a_part_of_a_collection_with_a_bad_name_is_refused(world: World, name: str) -> None:
    with pytest.raises(PartRefused):
        await world.documents.receive(part(key("d", collection=name), ["words"]))


async def test_a_sweeper_that_fails_goes_on(world: World) -> None:
    await world.documents.receive(part(key("d"), ["words"]))
    await world.documents.delete(key("d"), 1, "r1")
    world.kept.down = True
    running = asyncio.create_task(world.sweeper.run())
    await becomes(lambda: bool(world.errors))
    world.kept.down = False
    world.sweeper.call()
    await becomes(lambda: not world.stored())
    running.cancel()
    assert isinstance(world.errors[0], IndexUnavailable)


async def test_a_collection_that_is_not_there_is_unknown_and_an_empty_one_is_empty(
    world: World,
) -> None:
    with pytest.raises(CollectionUnknown):
        await world.search("words")
    await world.browse.make("acme", "default")
    answer = await world.search("words")
    assert (answer.hits, answer.index_version) == ((), "")
    with pytest.raises(CollectionUnknown):
        await world.search("words", tenant="rival")


async def test_the_answer_names_the_index_that_was_searched(world: World) -> None:
    await world.documents.receive(part(key("d"), ["words"]))
    assert (await world.search("words")).index_version == index().name


@pytest.mark.parametrize("mode", MODES)
async def test_rows_that_may_not_be_seen_do_not_push_out_those_that_may(
    world: World, mode: Mode
) -> None:
    for number in range(120):
        half = part(key(f"hidden{number}"), ["exact match"], part_count=2)
        await world.documents.receive(half)
    for number in range(5):
        await world.documents.receive(part(key(f"seen{number}"), [f"exact match of {number} more"]))
    hits = (await world.search("exact match", mode, top_k=5)).hits
    assert {hit.passage.document.document_id for hit in hits} == {f"seen{n}" for n in range(5)}
    for hit in hits:
        assert all(1 <= score.rank <= 5 for score in hit.routes.values())


@pytest.mark.parametrize("mode", MODES)
async def test_ties_are_cut_the_same_way_whatever_the_order_of_arrival(mode: Mode) -> None:
    lists = []
    for seed in (1, 2, 3):
        world = World()
        names = [f"d{number:03}" for number in range(60)]
        random.Random(seed).shuffle(names)
        for name in names:
            await world.documents.receive(part(key(name), ["the very same words"]))
        hits = (await world.search("same words", mode, top_k=7)).hits
        lists.append([hit.passage.document.document_id for hit in hits])
    assert lists[0] == lists[1] == lists[2] == [f"d{number:03}" for number in range(7)]


async def test_a_score_below_the_minimum_is_dropped(world: World) -> None:
    await world.documents.receive(part(key("d"), ["alpha beta"]))
    await world.documents.receive(part(key("e"), ["gamma delta"]))
    query = Query("alpha beta", Mode.DENSE, 10, Conditions("acme", "default"), 0.9)
    hits = (await world.passages.search(query)).hits
    assert [hit.passage.document.document_id for hit in hits] == ["d"]


async def test_two_tenants_with_the_same_documents_see_their_own(world: World) -> None:
    for tenant in ("acme", "rival"):
        await world.documents.receive(part(key("d", tenant=tenant), ["same words"]))
    for tenant in ("acme", "rival"):
        for mode in MODES:
            hits = (await world.search("same words", mode, tenant=tenant)).hits
            assert [hit.passage.document for hit in hits] == [key("d", tenant=tenant)]
        passage = await world.browse.chunk(tenant, "default", "d-1-0")
        assert passage.document.tenant == tenant
    await world.documents.delete(key("d"), 1, "r1")
    await world.sweeper.sweep()
    assert await world.texts("same words") == []
    assert await world.texts("same words", tenant="rival") == ["same words"]


async def test_a_chunk_is_given_only_while_its_version_is_in_force(world: World) -> None:
    await world.documents.receive(part(key("d"), ["old words"]))
    assert (await world.browse.chunk("acme", "default", "d-1-0")).chunk.text == "old words"
    await world.documents.receive(part(key("d"), ["new words"], revision=2))
    for unknown in ("d-1-0", "nothing"):
        with pytest.raises(ChunkUnknown):
            await world.browse.chunk("acme", "default", unknown)
    with pytest.raises(CollectionUnknown):
        await world.browse.chunk("rival", "default", "d-2-0")


class SwitchingIndex(MemoryVectorIndex):
    """A new version comes into force between a route's answer and the look at its hits."""

    world: World
    revisions: int

    async def search(
        self, index: Index, route: Route, probe: Vector | str, conditions: Conditions, limit: int
    ) -> list[Found]:
        found = await super().search(index, route, probe, conditions, limit)
        if self.revisions:
            self.revisions -= 1
            revision = 10 - self.revisions
            await self.world.documents.receive(part(key("d"), ["the words"], revision=revision))
            await self.world.sweeper.sweep()
        return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("revisions", [1, 2, 3])
async def test_there_is_no_moment_in_which_neither_version_is_found(
    mode: Mode, revisions: int
) -> None:
    switching = SwitchingIndex()
    switching.revisions = 0
    world = switching.world = World(switching)
    await world.documents.receive(part(key("d"), ["the words"]))
    switching.revisions = revisions
    assert await world.texts("words", mode) == ["the words"]


class LyingIndex(MemoryVectorIndex):
    """Forgets every condition, as a broken filter would."""

    async def search(
        self, index: Index, route: Route, probe: Vector | str, conditions: Conditions, limit: int
    ) -> list[Found]:
        found: list[Found] = []
        for tenant in ("acme", "rival"):
            blind = Conditions(tenant, conditions.collection)
            found += await super().search(index, route, probe, blind, limit)
        return found


@pytest.mark.parametrize("mode", MODES)
async def test_a_hit_that_the_filter_should_have_kept_back_is_not_shown(mode: Mode) -> None:
    world = World(LyingIndex())
    for tenant in ("acme", "rival"):
        for name in ("d", f"{tenant}-own"):
            await world.documents.receive(part(key(name, tenant=tenant), ["same words"]))
    hits = (await world.search("same words", mode)).hits
    assert {hit.passage.document.tenant for hit in hits} == {"acme"}
    assert len(hits) == 2
    assert (await world.search("same words", mode, metadata={"a": "b"})).hits == ()


REVISIONS = 3
PARTS = [
    part(
        key(document),
        [f"{document} revision {revision} attempt {attempt} part {place}"],
        revision=revision,
        attempt=attempt,
        part_index=place,
        part_count=2,
    )
    for document in ("one", "two")
    for revision in range(1, REVISIONS + 1)
    for attempt in (1, 2)
    for place in range(2)
]
Event = Part | tuple[str, int]


async def played(events: Sequence[Event], at_once: int = 1) -> tuple[object, ...]:
    world = World()
    for start in range(0, len(events), at_once):
        await asyncio.gather(*(hear(world, event) for event in events[start : start + at_once]))
    await world.sweeper.sweep()
    held: Mapping[str, InForce] = await world.catalogue.in_force("acme", "default", ["one", "two"])
    last = {
        fact.document.document_id: fact.holding.version
        for fact in world.catalogue.said
        if isinstance(fact, Indexed)
    }
    found = sorted(await world.texts("revision attempt part"))
    assert {
        name: Version(one.revision, one.attempt) for name, one in held.items()
    }.items() <= last.items()
    versions = {name: (one.revision, one.attempt) for name, one in held.items()}
    return versions, frozenset(world.stored()), tuple(found)


async def hear(world: World, event: Event) -> None:
    if isinstance(event, Part):
        await world.documents.receive(event)
    else:
        await world.documents.delete(key(event[0]), event[1], f"r{event[1]}")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), deleted=st.sampled_from([None, 1, 2, REVISIONS]))
def test_any_order_and_number_of_the_same_events_ends_in_the_same_state(
    data: st.DataObject, deleted: int | None
) -> None:
    events: list[Event] = list(PARTS)
    if deleted is not None:
        events.append(("one", deleted))
    expected = asyncio.run(played(events))
    shuffled = data.draw(st.permutations(events * 3))
    at_once = data.draw(st.sampled_from([1, 2, 7]))
    assert asyncio.run(played(shuffled, at_once)) == expected
