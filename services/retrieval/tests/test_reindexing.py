"""An index for another embedder: filled while the old one serves, switched to, and given up."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from gyre.retrieval.v1.events_pb2 import IndexAborted, IndexBuilt, IndexSwitched
from gyre_local.milvus import MilvusServer, MilvusSettings
from gyre_retrieval.adapters.memory import MemoryVectorIndex
from gyre_retrieval.adapters.milvus import MilvusVectorIndex
from gyre_retrieval.adapters.tables import fills, indexes, metadata
from gyre_retrieval.domain.document import Verdict
from gyre_retrieval.domain.errors import CollectionUnknown, PartRefused, QueryInvalid
from gyre_retrieval.domain.helpfulness import Opinion
from gyre_retrieval.domain.identity import Version
from gyre_retrieval.domain.index import Index
from gyre_retrieval.domain.query import Mode
from gyre_retrieval.domain.reindex import (
    Judged,
    JudgedComparison,
    NotCaughtUp,
    Reindex,
    ReindexRefused,
    ReindexState,
    ReindexUnknown,
    Sample,
    Wanted,
)
from gyre_retrieval.ports import EmbedderUnavailable, Leaving, VectorIndex
from reindex_world import NEW, NEW_DIMENSION, THIRD, ReindexWorld, sqlite_in, world_on
from retrieval_builders import DIMENSION, EMBEDDER, index, key, part
from sqlalchemy.ext.asyncio import create_async_engine

CROWD = [f"common words of number{number}" for number in range(30)]


@pytest.fixture(scope="module")
def milvus_of_this_module(tmp_path_factory: pytest.TempPathFactory) -> MilvusServer:
    with MilvusServer(MilvusSettings(tmp_path_factory.mktemp("reindex") / "data")) as server:
        yield server


@pytest.fixture(params=["memory", "milvus"])
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[VectorIndex]:
    if request.param == "memory":
        yield MemoryVectorIndex()
        return
    server: MilvusServer = request.getfixturevalue("milvus_of_this_module")
    async with MilvusVectorIndex(server.uri, timeout=30.0) as found:
        for name in await found.names():
            await found.drop(name)
        yield found


@pytest.fixture
async def world(kept: VectorIndex, tmp_path: Path) -> AsyncIterator[ReindexWorld]:
    async with world_on(sqlite_in(tmp_path), kept) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgres"])
async def light(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ReindexWorld]:
    """Where nothing depends on the vector database."""
    url = sqlite_in(tmp_path) if request.param == "sqlite" else await empty_postgres()
    async with world_on(url, MemoryVectorIndex()) as found:
        yield found


async def empty_postgres() -> str:
    url = os.environ.get("GYRE_TEST_POSTGRES_URL")
    if url is None:
        pytest.skip("GYRE_TEST_POSTGRES_URL names no PostgreSQL (postgresql+asyncpg://...)")
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
    await engine.dispose()
    return url


async def said(world: ReindexWorld) -> list[IndexBuilt | IndexSwitched | IndexAborted]:
    kinds = {"index_built": IndexBuilt, "index_switched": IndexSwitched}
    kinds["index_aborted"] = IndexAborted
    outbox = world.database.tables.outbox
    query = sa.select(outbox.c.subject, outbox.c.body).order_by(outbox.c.position)
    async with world.database.reading() as connection:
        rows = (await connection.execute(query)).all()
    names = [(row.subject.split(".")[3], row.body) for row in rows]
    return [kinds[name].FromString(body) for name, body in names if name in kinds]


async def rows_in(world: ReindexWorld, name: str) -> set[tuple[str, int]]:
    """Documents and revisions whose passages lie in a physical index."""
    place = Index(name, "default", "", DIMENSION)
    documents = [key(f"d{number}") for number in range(80)]
    wanted = [Wanted(one, Version(revision, 1), 1) for one in documents for revision in (1, 2, 3)]
    found = await world.kept.passages(place, wanted)
    return {(one.document.document_id, one.version.revision) for one in found}


async def crowd(world: ReindexWorld) -> None:
    texts = enumerate(CROWD)
    await asyncio.gather(*(world.hear(f"d{number}", [text]) for number, text in texts))


async def test_a_filled_index_is_searched_after_the_switch_and_the_old_one_after_the_switch_back(
    world: ReindexWorld,
) -> None:
    await crowd(world)
    started = await world.start()
    assert started.reindex.state is ReindexState.FILLING
    assert (await world.search("common words")).index_version == index().name
    shown = await world.filled(started.reindex.reindex_id)
    assert shown.reindex.state is ReindexState.READY
    assert (shown.progress.documents_done, shown.progress.chunks_done) == (30, 30)
    assert (await world.search("common words")).index_version == index().name
    after = await world.manage.switch(started.reindex.reindex_id, back=False)
    assert after.reindex.state is ReindexState.SWITCHED
    for mode in (Mode.DENSE, Mode.HYBRID):
        answer = await world.search("common words of number7", mode)
        assert answer.index_version == shown.reindex.index.name
        assert answer.hits[0].passage.chunk.text == CROWD[7]
        assert len(answer.hits) == 30
    await world.manage.switch(started.reindex.reindex_id, back=True)
    answer = await world.search("common words of number7")
    assert (answer.index_version, len(answer.hits)) == (index().name, 30)


async def test_what_comes_changes_and_goes_meanwhile_is_so_in_both(world: ReindexWorld) -> None:
    await crowd(world)
    reindex_id = (await world.start()).reindex.reindex_id
    await world.reindexer.round()
    await world.hear("d0", ["changed before it was copied or after"], revision=2)
    await world.hear("d29", ["changed too"], revision=2)
    await world.forget("d1")
    await world.forget("d28")
    await world.hear("d40", ["came meanwhile"])
    shown = await world.filled(reindex_id)
    await world.sweeper.sweep()
    await world.hear("d41", ["came at last"])
    await world.forget("d2")
    before = await world.texts("words")
    await world.manage.switch(reindex_id, back=False)
    await world.sweeper.sweep()
    assert await world.texts("words") == before
    expected = {(f"d{number}", 1) for number in range(3, 29) if number != 28}
    expected |= {("d0", 2), ("d29", 2), ("d40", 1), ("d41", 1)}
    assert len(before) == len(expected)
    for name in (shown.reindex.index.name, shown.reindex.previous.name):
        assert await rows_in(world, name) == expected


async def test_what_comes_after_the_switch_is_found_after_the_switch_back(
    world: ReindexWorld,
) -> None:
    await crowd(world)
    reindex_id = (await world.start()).reindex.reindex_id
    await world.filled(reindex_id)
    await world.manage.switch(reindex_id, back=False)
    await world.hear("d0", ["newer words"], revision=2)
    await world.hear("d50", ["words from after the switch"])
    await world.forget("d1")
    held = await world.texts("words")
    assert {"newer words", "words from after the switch"} < set(held)
    await world.manage.switch(reindex_id, back=True)
    assert await world.texts("words") == held
    assert (await world.search("words")).index_version == index().name


async def test_searches_never_fail_nor_miss_anything_while_indexes_are_switched(
    world: ReindexWorld,
) -> None:
    await switched_under_way(world)


async def test_they_do_not_with_either_database(light: ReindexWorld) -> None:
    await switched_under_way(light)


async def switched_under_way(world: ReindexWorld) -> None:
    """Searches and arrivals go on all the time, while the index is switched, back, and again."""
    await crowd(world)
    stop, seen, missing = asyncio.Event(), set(), []
    arrived: list[int] = []

    async def searching(mode: Mode) -> None:
        while not stop.is_set():
            least = len(CROWD) + len(arrived)
            answer = await world.search("common words", mode)
            seen.add(answer.index_version)
            missing.append(max(least - len(answer.hits), 0))
            await asyncio.sleep(0)

    async def arriving() -> None:
        for number in range(30, 100):
            await world.hear(f"d{number}", [f"common words of number{number}"])
            arrived.append(number)
            await asyncio.sleep(0.02)
            if stop.is_set():
                return

    searches = [asyncio.create_task(searching(mode)) for mode in (Mode.DENSE, Mode.HYBRID)]
    running = asyncio.create_task(world.reindexer.run())
    arrivals = asyncio.create_task(arriving())
    reindex_id = (await world.start()).reindex.reindex_id
    async with asyncio.timeout(150):
        while (await world.reindexes.get(reindex_id)).state is ReindexState.FILLING:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        for back in (False, True, False):
            await world.manage.switch(reindex_id, back=back)
            done = len(missing)
            while len(missing) < done + 10:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    stop.set()
    await asyncio.gather(*searches, arrivals)
    running.cancel()
    assert len(seen) == 2
    assert max(missing) == 0
    assert len(await world.texts("common words")) == len(CROWD) + len(arrived)
    assert world.errors == []


async def test_an_aborted_index_is_gone_and_the_next_one_is_another(world: ReindexWorld) -> None:
    await crowd(world)
    first = (await world.start()).reindex
    await world.reindexer.round()
    assert first.index.name in await world.kept.names()
    for _ in range(2):
        shown = await world.manage.abort(first.reindex_id, "worse than the old one")
    assert shown.reindex.state is ReindexState.ABORTED
    await world.reindexer.reconcile()
    assert await world.kept.names() == {index().name}
    second = (await world.start()).reindex
    assert second.index.name != first.index.name
    assert (await world.filled(second.reindex_id)).progress.documents_done == 30


async def test_what_is_written_late_into_an_aborted_index_is_dropped_again(
    world: ReindexWorld,
) -> None:
    await crowd(world)
    reindex = (await world.start()).reindex
    await world.manage.abort(reindex.reindex_id, "")
    await world.reindexer.reconcile()
    await world.kept.make(reindex.index)
    await world.reindexer.reconcile()
    assert await world.kept.names() == {index().name}


async def test_an_index_that_was_never_ours_is_counted_and_left_alone(world: ReindexWorld) -> None:
    await crowd(world)
    strange = Index("gyre_of_another_installation", "default", "x", DIMENSION)
    await world.kept.make(strange)
    counted: list[int] = []
    world.reindexer._strangers = counted.append
    await world.reindexer.reconcile()
    assert counted == [1]
    assert strange.name in await world.kept.names()


async def test_the_index_before_is_dropped_when_its_time_is_over(
    kept: VectorIndex, tmp_path: Path
) -> None:
    async with world_on(sqlite_in(tmp_path), kept, keep=0.0) as world:
        await crowd(world)
        reindex = (await world.start()).reindex
        await world.filled(reindex.reindex_id)
        await world.manage.switch(reindex.reindex_id, back=False)
        await world.reindexer.round()
        await world.reindexer.reconcile()
        assert await kept.names() == {reindex.index.name}
        shown = await world.manage.show(reindex.reindex_id)
        assert shown.reindex.state is ReindexState.ENDED
        assert len(await world.texts("common words")) == 30
        with pytest.raises(ReindexRefused, match="nothing to switch back"):
            await world.manage.switch(reindex.reindex_id, back=True)
        await world.hear("d0", ["newer words"], revision=2)
        assert (await world.texts("newer words"))[-1] == "newer words"


async def test_each_change_is_said_once(light: ReindexWorld) -> None:
    await crowd(light)
    reindex_id = (await light.start()).reindex.reindex_id
    for _ in range(2):
        await light.filled(reindex_id)
    for back in (False, False, True, True):
        await light.manage.switch(reindex_id, back=back)
    for _ in range(2):
        await light.manage.abort(reindex_id, "no better")
    told = await said(light)
    assert [type(one).__name__ for one in told] == [
        "IndexBuilt",
        "IndexSwitched",
        "IndexSwitched",
        "IndexAborted",
    ]
    first, second = told[1:3]
    assert (first.index.embedder, first.previous.embedder, first.back) == (NEW, EMBEDDER, False)
    assert (second.index.embedder, second.previous.embedder, second.back) == (EMBEDDER, NEW, True)
    assert first.HasField("keep_until_time")
    assert not second.HasField("keep_until_time")
    assert (told[0].document_count, told[0].index.dimension) == (30, NEW_DIMENSION)
    assert told[3].reason == "no better"


async def test_a_document_whose_parts_come_on_both_sides_of_a_switch_is_found_whole(
    world: ReindexWorld,
) -> None:
    await crowd(world)
    reindex_id = (await world.start()).reindex.reindex_id
    first = part(key("d60"), ["split words before"], part_index=0, part_count=2)
    last = part(key("d60"), ["split words after"], part_index=1, part_count=2)
    assert await world.documents.receive(first) is Verdict.STORED
    await world.filled(reindex_id)
    await world.manage.switch(reindex_id, back=False)
    assert await world.documents.receive(last) is Verdict.INDEXED
    found = await world.texts("split words before after")
    assert {"split words before", "split words after"} < set(found)


async def test_a_part_that_is_repeated_after_a_switch_is_no_contradiction(
    light: ReindexWorld,
) -> None:
    await crowd(light)
    reindex_id = (await light.start()).reindex.reindex_id
    parts = [part(key("d60"), [f"split {n}"], part_index=n, part_count=2) for n in range(2)]
    await light.documents.receive(parts[0])
    await light.filled(reindex_id)
    await light.manage.switch(reindex_id, back=False)
    assert await light.documents.receive(parts[0]) is Verdict.STORED
    assert await light.documents.receive(parts[1]) is Verdict.INDEXED
    assert {"split 0", "split 1"} < set(await light.texts("split"))


async def test_a_document_whose_first_parts_went_with_their_index_is_told_and_not_half_found(
    tmp_path: Path,
) -> None:
    async with world_on(sqlite_in(tmp_path), MemoryVectorIndex(), keep=0.0) as world:
        await crowd(world)
        reindex_id = (await world.start()).reindex.reindex_id
        parts = [part(key("d60"), [f"split {n}"], part_index=n, part_count=2) for n in range(2)]
        await world.documents.receive(parts[0])
        await world.filled(reindex_id)
        await world.manage.switch(reindex_id, back=False)
        await world.reindexer.round()
        with pytest.raises(PartRefused, match="parts_lost"):
            await world.documents.receive(parts[1])
        assert not {"split 0", "split 1"} & set(await world.texts("split"))


async def test_nothing_comes_into_force_while_the_last_documents_are_copied(
    light: ReindexWorld,
) -> None:
    await crowd(light)
    await light.start()
    await light.reindexes.hold("default", 60.0)
    waits = asyncio.create_task(light.hear("d70", ["held words"]))
    await asyncio.sleep(0.3)
    assert "held words" not in await light.texts("held words")
    await light.reindexes.hold("default", 0.0)
    await waits
    assert "held words" in await light.texts("held words")


async def test_an_index_that_lacks_something_is_never_used(light: ReindexWorld) -> None:
    await crowd(light)
    reindex_id = (await light.start()).reindex.reindex_id
    await light.filled(reindex_id)
    await light.hear("d71", ["not copied yet"])
    with pytest.raises(NotCaughtUp):
        await light.reindexes.switch(reindex_id, back=False, keep=60.0)
    light.embedder.away = EmbedderUnavailable("the embedding service is away")
    with pytest.raises(EmbedderUnavailable):
        await light.manage.switch(reindex_id, back=False)
    assert (await light.search("words")).index_version == index().name
    assert "not copied yet" in await light.texts("not copied yet")
    light.embedder.away = None
    await light.manage.switch(reindex_id, back=False)
    assert "not copied yet" in await light.texts("not copied yet")


async def test_an_embedder_that_is_away_holds_up_the_filling_alone(light: ReindexWorld) -> None:
    await crowd(light)
    reindex_id = (await light.start()).reindex.reindex_id
    light.embedder.away = EmbedderUnavailable("the embedding service is away")
    for _ in range(3):
        await light.reindexer.round()
    held = await light.manage.show(reindex_id)
    assert (held.reindex.detail, held.progress.documents_done) == (str(light.embedder.away), 0)
    assert len(light.errors) == 1
    await light.hear("d72", ["indexed all the same"])
    assert "indexed all the same" in await light.texts("indexed all the same")
    light.embedder.away = None
    assert (await light.filled(reindex_id)).reindex.detail == ""


async def test_passages_that_the_old_index_lost_are_told_and_hold_up_the_filling(
    light: ReindexWorld,
) -> None:
    await crowd(light)
    reindex_id = (await light.start()).reindex.reindex_id
    await light.kept.remove(index(), [Leaving(key("d3"), Version(1, 1))])
    for _ in range(20):
        await light.reindexer.round()
    shown = await light.manage.show(reindex_id)
    assert shown.reindex.state is ReindexState.FILLING
    assert shown.progress.documents_done == 29
    assert "lost passages of d3" in shown.reindex.detail
    await light.hear("d3", ["processed again"], revision=2)
    assert (await light.filled(reindex_id)).reindex.state is ReindexState.READY


async def test_a_third_model_is_indexed_while_the_first_ones_index_is_still_kept(
    world: ReindexWorld,
) -> None:
    await crowd(world)
    second = (await world.start()).reindex
    await world.filled(second.reindex_id)
    await world.manage.switch(second.reindex_id, back=False)
    third = (await world.manage.start("acme", "ann", "default", THIRD, "")).reindex
    assert third.previous == second.index
    await world.filled(third.reindex_id)
    await world.manage.switch(third.reindex_id, back=False)
    await world.hear("d50", ["words from after both switches"])
    await world.filled(third.reindex_id)
    kept = {index().name, second.index.name, third.index.name}
    assert await world.kept.names() == kept
    for name in kept:
        assert ("d50", 1) in await rows_in(world, name)
    with pytest.raises(ReindexRefused, match="another index is in use"):
        await world.manage.switch(second.reindex_id, back=True)
    await world.manage.switch(third.reindex_id, back=True)
    await world.manage.switch(second.reindex_id, back=True)
    assert (await world.search("words")).index_version == index().name
    after = await world.manage.switch(third.reindex_id, back=False)
    assert after.reindex.previous == index()
    assert (await world.search("words")).index_version == third.index.name
    await world.manage.switch(third.reindex_id, back=True)
    assert len(await world.texts("words")) == 31


async def test_a_switch_back_does_not_wait_for_the_next_index(light: ReindexWorld) -> None:
    await crowd(light)
    second = (await light.start()).reindex
    await light.filled(second.reindex_id)
    await light.manage.switch(second.reindex_id, back=False)
    third = (await light.manage.start("acme", "ann", "default", THIRD, "")).reindex
    await light.reindexer.round()
    await light.manage.switch(second.reindex_id, back=True)
    assert (await light.search("words")).index_version == index().name
    await light.filled(third.reindex_id)
    await light.manage.switch(third.reindex_id, back=False)
    assert len(await light.texts("words")) == 30


async def test_an_empty_collection_can_be_switched(world: ReindexWorld) -> None:
    await world.hear("d0", ["words"])
    await world.forget("d0")
    reindex_id = (await world.start()).reindex.reindex_id
    await world.filled(reindex_id)
    await world.manage.switch(reindex_id, back=False)
    assert await world.texts("words", Mode.HYBRID) == []


async def test_what_cannot_be_started_is_refused_with_the_reason(light: ReindexWorld) -> None:
    with pytest.raises(CollectionUnknown):
        await light.start()
    await crowd(light)
    for embedder, why in ((EMBEDDER, "in use"), ("missing", "loaded")):
        with pytest.raises(ReindexRefused, match=why):
            await light.manage.start("acme", "ann", "default", embedder, "")
    with pytest.raises(QueryInvalid, match="embedder"):
        await light.manage.start("acme", "ann", "default", "", "")
    with pytest.raises(QueryInvalid, match="reason"):
        await light.manage.start("acme", "ann", "default", NEW, "x" * 1001)
    started = await asyncio.gather(*(light.start() for _ in range(4)), return_exceptions=True)
    assert [isinstance(one, ReindexRefused) for one in started].count(True) == 3


async def test_what_cannot_be_switched_or_aborted_is_refused(light: ReindexWorld) -> None:
    await crowd(light)
    reindex_id = (await light.start()).reindex.reindex_id
    with pytest.raises(ReindexRefused, match="only a filled index"):
        await light.manage.switch(reindex_id, back=False)
    with pytest.raises(ReindexRefused, match="nothing to switch back"):
        await light.manage.switch(reindex_id, back=True)
    await light.filled(reindex_id)
    await light.manage.switch(reindex_id, back=False)
    with pytest.raises(ReindexRefused, match="switch back first"):
        await light.manage.abort(reindex_id, "")
    for call in (light.manage.show("none"), light.manage.abort("none", "")):
        with pytest.raises(ReindexUnknown):
            await call


async def test_one_process_works_on_a_reindexing_and_another_goes_on_when_it_died(
    light: ReindexWorld,
) -> None:
    await crowd(light)
    reindex_id = (await light.start()).reindex.reindex_id
    assert await light.reindexes.claim(reindex_id, "dead", 600.0)
    assert not await light.reindexer.round()
    assert await light.reindexes.claim(reindex_id, "dead", -1.0)  # its lease has run out
    assert await light.reindexer.round()
    assert not await light.reindexes.claim(reindex_id, "dead", 0.3)


async def test_what_a_crash_left_in_a_follower_leaves_with_its_version(
    light: ReindexWorld,
) -> None:
    await light.hear("d0", ["old words"])
    reindex = (await light.start()).reindex
    wanted = await light.reindexes.lagging(reindex.index, None, 10)
    await light.reindexes.begin(reindex.index, wanted)
    await light.hear("d0", ["new words"], revision=2)
    await light.sweeper.sweep()
    stale = part(key("d0"), ["old words"]).passages
    vectors = await light.embedder.embed_passages(["old words"], NEW)
    await light.kept.store(reindex.index, [replace(stale[0], vector=vectors[0])])
    await light.filled(reindex.reindex_id)
    await light.sweeper.sweep()
    assert await rows_in(light, reindex.index.name) == {("d0", 2)}


async def test_live_searches_are_compared_after_they_were_answered(light: ReindexWorld) -> None:
    await crowd(light)
    reindex_id = (await light.start()).reindex.reindex_id
    await light.filled(reindex_id)
    liked = Opinion("d7-1-0", "helpful", 0.9, 3.0, 1)
    await light.helpfulness.keep("acme", liked)
    tasks = [asyncio.create_task(light.live.look()), asyncio.create_task(light.live.run())]
    async with asyncio.timeout(150):
        while not await light.reindexes.samples(reindex_id):
            await light.search("common words of number7")
            await light.search("common words", Mode.LEXICAL)
            await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    live = (await light.manage.show(reindex_id)).live
    assert live is not None
    assert 0.0 < live.overlap.mean <= 1.0
    assert live.judged_searches == live.searches
    assert live.helpfulness is not None
    assert [one.mean for one in live.helpfulness] == pytest.approx([0.9, 0.9, 0.0])
    assert light.errors == []


async def test_no_more_live_searches_are_kept_than_are_needed(light: ReindexWorld) -> None:
    await crowd(light)
    reindex = (await light.start()).reindex
    await light.filled(reindex.reindex_id)
    query_answer = await light.search("common words")
    assert query_answer.hits
    for _ in range(5):
        await light.reindexes.keep_sample(reindex.reindex_id, Sample(1.0, 1.0, 0.1, 0.1), 3)
    assert len(await light.reindexes.samples(reindex.reindex_id)) == 3


async def compared(world: ReindexWorld, reindex_id: str, queries: list[Judged]) -> JudgedComparison:
    told = [one async for one in world.judged.compare("acme", reindex_id, queries, Mode.DENSE)]
    assert told[0] == 0
    assert isinstance(told[-1], JudgedComparison)
    return told[-1]


async def test_judged_queries_tell_which_index_is_better(light: ReindexWorld) -> None:
    """The new embedder reads only the last word here, in which the passages differ."""
    await crowd(light)
    light.embedder._vectors[NEW] = _last_word
    reindex_id = (await light.start()).reindex.reindex_id
    await light.filled(reindex_id)
    queries = [
        Judged(f"common common words words of number{n}", frozenset({f"d{n}-1-0"}))
        for n in range(30)
    ]
    found = await compared(light, reindex_id, queries)
    assert found.queries == 30
    assert found.mrr[1].mean == 1.0
    assert found.mrr[2].mean == pytest.approx(found.mrr[1].mean - found.mrr[0].mean)
    assert found.mrr[2].low is not None
    assert found.mrr[2].low > 0.0
    assert (await light.manage.show(reindex_id)).judged == found


def _last_word(text: str) -> list[float]:
    number = "".join(letter for letter in text if letter.isdigit())
    vector = [1e-4] * NEW_DIMENSION
    vector[int(number or 0)] = 1.0
    return vector


async def test_judgements_without_a_relevant_passage_are_refused(light: ReindexWorld) -> None:
    await crowd(light)
    reindex_id = (await light.start()).reindex.reindex_id
    some = [Judged("a", frozenset({"x"})), Judged("b", frozenset())]
    with pytest.raises(QueryInvalid, match=r"queries\[1\]"):
        await compared(light, reindex_id, some)
    with pytest.raises(ReindexRefused, match="no two filled"):
        await compared(light, reindex_id, [Judged("a", frozenset({"x"}))])


async def test_everything_is_read_as_it_was_kept(light: ReindexWorld) -> None:
    await crowd(light)
    started = (await light.start()).reindex
    assert await light.reindexes.newest("default", 10, 0) == [started]
    assert await light.reindexes.newest("other", 10, 0) == []
    assert await light.reindexes.open() == [started]
    await light.manage.abort(started.reindex_id, "why")
    other = (await light.start()).reindex
    assert [one.reindex_id for one in await light.reindexes.newest("", 10, 0)] == [
        other.reindex_id,
        started.reindex_id,
    ]
    assert len(await light.reindexes.newest("", 1, 1)) == 1
    ended: Reindex = await light.reindexes.get(started.reindex_id)
    assert (ended.state, ended.detail, ended.tenant) == (ReindexState.ABORTED, "why", "acme")
    async with light.database.reading() as connection:
        known = (await connection.execute(sa.select(indexes.c.name))).scalars().all()
        left = await connection.scalar(sa.select(sa.func.count()).select_from(fills))
    assert set(known) == {index().name, other.index.name}
    assert left == 0


async def test_killed_again_and_again_it_ends_with_everything_once(
    milvus_of_this_module: MilvusServer, tmp_path: Path
) -> None:
    url, uri = sqlite_in(tmp_path), milvus_of_this_module.uri
    program = [sys.executable, str(Path(__file__).parent / "reindex_process.py"), url, uri]
    dice = random.Random(uuid.UUID(int=7).int)
    async with MilvusVectorIndex(uri, timeout=30.0) as kept, world_on(url, kept) as world:
        for name in await kept.names():
            await kept.drop(name)
        texts = [f"common words of number{number}" for number in range(36)]
        await asyncio.gather(*(world.hear(f"d{n}", [text]) for n, text in enumerate(texts)))
        reindex = (await world.start()).reindex
        kills, done = 0, 0
        async with asyncio.timeout(240):
            while (await world.reindexes.get(reindex.reindex_id)).state is ReindexState.FILLING:
                process = await asyncio.create_subprocess_exec(*program)
                try:
                    done = await _went_on(world, reindex, done)
                    await asyncio.sleep(dice.random() * 0.1)
                    if kills == 1:
                        await world.hear("d0", ["newer words"], revision=2)
                        await world.forget("d1")
                finally:
                    process.kill()
                    await process.wait()
                kills += 1
        assert kills >= 3
        await world.manage.switch(reindex.reindex_id, back=False)
        await world.reindexes.settle(reindex.previous)
        await world.sweeper.sweep()
        expected = {(f"d{number}", 1) for number in range(2, 36)} | {("d0", 2)}
        assert await rows_in(world, reindex.index.name) == expected
        assert len(await world.texts("words")) == len(expected)
        assert [type(one).__name__ for one in await said(world)] == ["IndexBuilt", "IndexSwitched"]


async def _went_on(world: ReindexWorld, reindex: Reindex, done: int) -> int:
    """Returns what is copied when it is more than before, or all."""
    while True:
        progress = await world.reindexes.progress(reindex)
        state = (await world.reindexes.get(reindex.reindex_id)).state
        if progress.documents_done > done or state is not ReindexState.FILLING:
            return progress.documents_done
        await asyncio.sleep(0.02)
