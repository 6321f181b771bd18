"""What came from what: the same from both ends, bounded, and told by what is heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gyre_retraining.adapters.lineage import DatabaseLineageStore, ParquetDatasetSources
from gyre_retraining.adapters.memory_registry import MemoryLineageStore
from gyre_retraining.adapters.tables import MIGRATIONS, metadata
from gyre_retraining.domain.lineage import (
    Direction,
    Edge,
    Facts,
    Kind,
    LineageInvalid,
    Node,
    Thing,
    ThingUnknown,
    Trace,
    answer_facts,
    model_facts,
)
from gyre_retraining.domain.models import (
    DatasetFacts,
    Making,
    ModelKind,
    ModelRecord,
    ModelVersion,
    StoredModel,
    signature_of,
)
from gyre_retraining.domain.sources import Judgement, Level, Passage, RecordedAnswer
from gyre_retraining.lineage_ports import LineageStore
from gyre_retraining.use_cases.lineage import PAGE, RecordLineage, TraceLineage
from gyre_runtime.database import Database
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KINDS = list(Kind)


@pytest.fixture(params=["memory", "database"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LineageStore]:
    if request.param == "memory":
        yield MemoryLineageStore()
        return
    url = f"sqlite+aiosqlite:///{tmp_path / 'retraining.db'}"
    database = Database(url, metadata, migrations=MIGRATIONS)
    await database.start()
    yield DatabaseLineageStore(database)
    await database.stop()


def thing(number: int) -> Thing:
    return Thing(KINDS[number % len(KINDS)], f"t-{number}")


def edge(later: int, earlier: int, relation: str = "from") -> Edge:
    return Edge(thing(later), thing(earlier), relation)


def names(trace: Trace) -> list[str]:
    return [f"{one.thing.kind} {one.thing.id}" for one in trace.nodes]


async def reached(store: LineageStore, start: Thing, direction: Direction) -> set[Thing]:
    try:
        found = await TraceLineage(store).trace("acme", start.kind, start.id, direction)
    except ThingUnknown:
        return set()
    assert not found.truncated
    return {one.thing for one in found.nodes}


Edges = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=30)


async def check_both_ways(store: LineageStore, pairs: list[tuple[int, int]]) -> None:
    edges = tuple(edge(a, b) for a, b in dict.fromkeys(pairs) if a != b)
    await store.write("acme", Facts((), edges))
    things = sorted({end for one in edges for end in (one.later, one.earlier)})
    forward = {one: await reached(store, one, Direction.FORWARD) for one in things}
    back = {one: await reached(store, one, Direction.BACK) for one in things}
    for x in things:
        assert {y for y in things if x in back[y]} == forward[x]
        assert {y for y in things if x in forward[y]} == back[x]


@settings(max_examples=40, deadline=None)
@given(Edges)
def test_forward_from_x_holds_y_exactly_where_back_from_y_holds_x(
    pairs: list[tuple[int, int]],
) -> None:
    asyncio.run(check_both_ways(MemoryLineageStore(), pairs))


@settings(max_examples=12, deadline=None)
@given(Edges)
def test_so_it_is_in_the_database(pairs: list[tuple[int, int]]) -> None:
    async def work() -> None:
        database = Database("sqlite+aiosqlite://", metadata)
        await database.start()
        try:
            await check_both_ways(DatabaseLineageStore(database), pairs)
        finally:
            await database.stop()

    asyncio.run(work())


async def test_a_walk_ends_at_its_limit_nearest_first_and_says_so(store: LineageStore) -> None:
    chain = tuple(edge(n, n + 1) for n in range(20))
    fan = tuple(edge(0, n) for n in range(30, 40))
    await store.write("acme", Facts((), chain + fan))
    for limit in (1, 5, 11, 12, 30):
        found = await TraceLineage(store).trace("acme", thing(0).kind, "t-0", limit=limit)
        assert len(found.nodes) == limit
        assert found.truncated
        assert found.nodes[0].thing == thing(0)
        assert all(max(ends[:2]) < limit for ends in found.edges)
        nearest = {thing(1), *(thing(n) for n in range(30, 40))}
        assert nearest >= {one.thing for one in found.nodes[1:12]}
    whole = await TraceLineage(store).trace("acme", thing(0).kind, "t-0", limit=31)
    assert (len(whole.nodes), len(whole.edges), whole.truncated) == (31, 30, False)


async def test_a_thing_with_very_many_neighbours_is_cut_too(store: LineageStore) -> None:
    edges = tuple(Edge(Thing(Kind.ANSWER, f"a-{n}"), Thing(Kind.USER, "u"), "") for n in range(300))
    await store.write("acme", Facts((), edges))
    found = await TraceLineage(store).trace("acme", "user", "u", Direction.FORWARD, 7)
    assert (len(found.nodes), found.truncated) == (7, True)


async def test_a_thing_with_more_neighbours_than_a_page_is_walked_whole(
    store: LineageStore,
) -> None:
    count = 2 * PAGE + 3
    edges = tuple(Edge(Thing(Kind.ANSWER, f"a-{n}"), thing(1), "") for n in range(count))
    for start in range(0, count, 1000):
        await store.write("acme", Facts((), edges[start : start + 1000]))
    found = await TraceLineage(store).trace("acme", thing(1).kind, "t-1", Direction.FORWARD, 9000)
    assert (len(found.nodes), len(found.edges), found.truncated) == (count + 1, count, False)
    assert len(set(names(found))) == count + 1


async def test_many_edges_between_few_things_are_all_told(store: LineageStore) -> None:
    dense = tuple(edge(a, b) for a in range(30) for b in range(30) if a != b)
    await store.write("acme", Facts((), dense))
    found = await TraceLineage(store).trace("acme", thing(0).kind, "t-0", limit=30)
    assert (len(found.nodes), len(found.edges), found.truncated) == (30, 870, False)


async def test_a_walk_round_a_circle_ends(store: LineageStore) -> None:
    await store.write("acme", Facts((), (edge(0, 1), edge(1, 2), edge(2, 0))))
    found = await TraceLineage(store).trace("acme", thing(0).kind, "t-0")
    assert (len(found.nodes), len(found.edges)) == (3, 3)


async def test_what_is_written_twice_is_there_once_and_keeps_what_was_known(
    store: LineageStore,
) -> None:
    facts = Facts((Node(thing(0), "label", NOW),), (edge(0, 1, "first"),))
    await store.write("acme", facts)
    await store.write("acme", Facts((Node(thing(0)), Node(thing(1), "other")), ()))
    await store.write("acme", Facts((), (edge(0, 1, "second"),)))
    await store.write("acme", facts)
    found = await TraceLineage(store).trace("acme", thing(0).kind, "t-0")
    assert found == Trace(
        (Node(thing(0), "label", NOW), Node(thing(1), "other")), ((0, 1, "first"),), False
    )


async def test_a_tenant_sees_its_own_alone(store: LineageStore) -> None:
    await store.write("acme", Facts((), (edge(0, 1),)))
    await store.write("globex", Facts((), (edge(1, 2),)))
    assert await reached(store, thing(0), Direction.BACK) == {thing(0), thing(1)}
    with pytest.raises(ThingUnknown):
        await TraceLineage(store).trace("globex", thing(0).kind, "t-0")


async def test_a_question_that_is_none_is_told_what_there_is(store: LineageStore) -> None:
    with pytest.raises(LineageInvalid, match="answer, model, training"):
        await TraceLineage(store).trace("acme", "thing", "1")
    with pytest.raises(LineageInvalid, match="empty"):
        await TraceLineage(store).trace("acme", "answer", "")
    with pytest.raises(ThingUnknown):
        await TraceLineage(store).trace("acme", "answer", "none")


async def test_what_was_erased_is_gone_and_older_facts_do_not_bring_it_back(
    store: LineageStore,
) -> None:
    user = Thing(Kind.USER, "u-1")
    await store.write("acme", answer_facts("a-1", NOW, user="u-1"))
    moment = NOW + timedelta(minutes=1)
    await store.forget("acme", user, moment)
    await store.forget("acme", user, moment)
    await store.write("acme", answer_facts("a-2", NOW, user="u-1"))
    assert await store.nodes("acme", [user]) == {}
    answers = [Thing(Kind.ANSWER, one) for one in ("a-1", "a-2")]
    assert await store.next("acme", answers, Direction.BACK, 10) == []
    await store.write("acme", answer_facts("a-3", NOW + timedelta(hours=1), user="u-1"))
    assert await reached(store, user, Direction.FORWARD) == {user, Thing(Kind.ANSWER, "a-3")}


def version() -> ModelVersion:
    stored = StoredModel("/models/x", (), "c" * 64)
    record = ModelRecord(
        "acme",
        "reader",
        ModelKind.LANGUAGE,
        stored,
        NOW,
        signature_of(ModelKind.LANGUAGE, 0),
        training_id="t-1",
        base_model="reader/1",
        dataset=DatasetFacts("d-1", "thumbs", {"train": 3}),
        making=Making("language-kto"),
    )
    return ModelVersion(record, 2)


def answer(answer_id: str, model_version: str, user: str, document: str) -> RecordedAnswer:
    return RecordedAnswer(
        answer_id,
        "?",
        "!",
        passages=(Passage(f"{document}-c", document),),
        model="reader",
        model_version=model_version,
        end_user=user,
        time=NOW.timestamp(),
    )


def judgement(answer_id: str) -> Judgement:
    return Judgement(
        "app", f"f-{answer_id}", 1, answer_id, "helpful", Level.ANSWER, "boolean", True,
        rater="u-2", time=NOW.timestamp(),
    )  # fmt: skip


async def turned(store: LineageStore, folder: Path) -> None:
    """One turn of the loop: an answer is judged, trained on, and the new model answers."""
    record = RecordLineage(store, ParquetDatasetSources())
    await record.answer("acme", answer("old", "1", "u-1", "doc-1"))
    await record.judgement("acme", judgement("old"))
    rows = {
        "row_id": ["r-1", "r-1", "r-1", "r-2"],
        "kind": ["answer", "judgement", "user", "answer"],
        "id": ["old", "app:f-old", "u-1", "old"],
    }
    pq.write_table(pa.table(rows), folder / "lineage.parquet")
    await record.dataset("acme", "d-1", NOW, "thumbs", folder)
    await store.write("acme", model_facts(version()))
    await record.answer("acme", answer("new", "c" * 64, "u-3", "doc-2"))


async def test_from_an_answer_back_to_whoever_judged_and_what_was_shown(
    store: LineageStore, tmp_path: Path
) -> None:
    await turned(store, tmp_path)
    found = await TraceLineage(store).trace("acme", "answer", "new")
    assert names(found)[0] == "answer new"
    assert {
        "model reader/2", "training t-1", "dataset d-1", "judgement app:f-old", "answer old",
        "document doc-1", "document doc-2", "user u-1", "user u-2", "user u-3", "model reader/1",
    } <= set(names(found))  # fmt: skip
    relations = {(found.nodes[a].thing.id, found.nodes[b].thing.id): c for a, b, c in found.edges}
    assert relations["t-1", "d-1"] == "trained_on"
    assert relations["app:f-old", "u-2"] == "given_by"
    assert len(relations) == len(found.edges)


@pytest.mark.parametrize(
    ("kind", "id"),
    [("document", "doc-1"), ("judgement", "app:f-old"), ("user", "u-1"), ("user", "u-2")],
)
async def test_forward_to_the_datasets_models_and_answers_that_came_of_it(
    store: LineageStore, tmp_path: Path, kind: str, id: str
) -> None:
    await turned(store, tmp_path)
    found = await TraceLineage(store).trace("acme", kind, id, Direction.FORWARD)
    assert {"dataset d-1", "training t-1", "model reader/2", "answer new"} <= set(names(found))
    assert "user u-3" not in names(found)


async def test_a_turn_that_is_told_twice_is_the_same(store: LineageStore, tmp_path: Path) -> None:
    await turned(store, tmp_path)
    once = await TraceLineage(store).trace("acme", "answer", "new")
    await turned(store, tmp_path)
    assert await TraceLineage(store).trace("acme", "answer", "new") == once


async def test_a_dataset_of_many_sources_is_written_whole(
    store: LineageStore, tmp_path: Path
) -> None:
    count = 6000
    rows = {
        "row_id": [str(n) for n in range(count)],
        "kind": ["document"] * count,
        "id": [f"d-{n}" for n in range(count)],
    }
    pq.write_table(pa.table(rows), tmp_path / "lineage.parquet")
    record = RecordLineage(store, ParquetDatasetSources())
    await record.dataset("acme", "big", NOW, "texts", tmp_path)
    found = await TraceLineage(store).trace("acme", "dataset", "big", limit=10_000)
    assert len(found.nodes) == count + 1
    assert (found.nodes[0].label, found.nodes[0].time) == ("texts", NOW)


async def test_a_dataset_without_sources_is_a_thing_nevertheless(
    store: LineageStore, tmp_path: Path
) -> None:
    rows = {name: pa.array([], pa.string()) for name in ("row_id", "kind", "id")}
    pq.write_table(pa.table(rows), tmp_path / "lineage.parquet")
    await RecordLineage(store, ParquetDatasetSources()).dataset("acme", "d", NOW, "texts", tmp_path)
    assert await reached(store, Thing(Kind.DATASET, "d"), Direction.BACK) == {
        Thing(Kind.DATASET, "d")
    }


def test_an_imported_model_has_no_training() -> None:
    record = replace(version().record, training_id="", base_model="", dataset=None, making=None)
    found = model_facts(ModelVersion(record, 1))
    assert {one.kind for one in found.things} == {Kind.MODEL}
