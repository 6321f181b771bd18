"""One promise, two adapters: what the twin in memory does, Milvus does."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator

import pytest
from gyre_local.milvus import MilvusServer, MilvusSettings
from gyre_retrieval.adapters.memory import MemoryVectorIndex
from gyre_retrieval.adapters.milvus import MilvusVectorIndex
from gyre_retrieval.domain.errors import PartRefused
from gyre_retrieval.domain.identity import Version
from gyre_retrieval.domain.index import Index, index_for, shadow_for
from gyre_retrieval.domain.query import Conditions, Found, Route
from gyre_retrieval.domain.reindex import Wanted
from gyre_retrieval.ports import IndexMissing, IndexUnavailable, Leaving, VectorIndex
from retrieval_builders import DIMENSION, HOSTILE, index, key, passage, vector_of

HERE = Conditions("acme", "default")


class VectorIndexContract:
    """Every test gets an empty index of its own."""

    @pytest.fixture
    def place(self) -> Index:
        return index_for(f"c{uuid.uuid4().hex[:8]}", "bag-of-words-1", DIMENSION)

    async def words(
        self, kept: VectorIndex, place: Index, query: str, **filters: object
    ) -> list[Found]:
        conditions = Conditions("acme", "default", **filters)  # type: ignore[arg-type]
        return await kept.search(place, Route.LEXICAL, query, conditions, 10)

    async def near(
        self, kept: VectorIndex, place: Index, query: str, **filters: object
    ) -> list[Found]:
        conditions = Conditions("acme", "default", **filters)  # type: ignore[arg-type]
        return await kept.search(place, Route.DENSE, vector_of(query), conditions, 10)

    async def test_a_stored_passage_is_found_whole_by_both_routes(
        self, kept: VectorIndex, place: Index
    ) -> None:
        stored = passage(key("d"), "Roaming costs nothing in Europe", metadata={"team": "a"})
        await kept.store(place, [stored])
        for found in (
            await self.near(kept, place, "roaming europe"),
            await self.words(kept, place, "cost of roaming"),
        ):
            assert [one.passage for one in found] == [stored.passage]
            assert found[0].score > 0

    async def test_the_cosine_of_the_same_text_is_one(
        self, kept: VectorIndex, place: Index
    ) -> None:
        await kept.store(place, [passage(key("d"), "alpha beta gamma")])
        assert (await self.near(kept, place, "alpha beta gamma"))[0].score == pytest.approx(
            1, abs=1e-4
        )

    async def test_the_nearest_stands_first(self, kept: VectorIndex, place: Index) -> None:
        texts = ["router set-up", "router fault lamp", "bill and payment"]
        await kept.store(place, [passage(key(f"d{n}"), text) for n, text in enumerate(texts)])
        found = await self.near(kept, place, "router fault lamp")
        assert found[0].passage.chunk.text == "router fault lamp"
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)

    async def test_words_that_nobody_wrote_find_nothing(
        self, kept: VectorIndex, place: Index
    ) -> None:
        await kept.store(place, [passage(key("d"), "router set-up")])
        assert await self.words(kept, place, "zebra") == []
        assert await self.words(kept, place, "?!") == []

    async def test_german_and_english_words_are_found_in_other_forms(
        self, kept: VectorIndex, place: Index
    ) -> None:
        german = passage(key("de"), "Die Kündigungen der Verträge", language="de")
        english = passage(key("en"), "Cancelling your contracts")
        await kept.store(place, [german, english])
        assert [one.passage for one in await self.words(kept, place, "Kündigung")] == [
            german.passage
        ]
        assert [one.passage for one in await self.words(kept, place, "contract")] == [
            english.passage
        ]

    async def test_a_repeated_store_keeps_one_passage(
        self, kept: VectorIndex, place: Index
    ) -> None:
        for _ in range(3):
            await kept.store(place, [passage(key("d"), "one text")])
        assert len(await self.near(kept, place, "one text")) == 1

    async def test_versions_stand_side_by_side_until_one_is_removed(
        self, kept: VectorIndex, place: Index
    ) -> None:
        old = passage(key("d"), "old words", chunk_id="same")
        new = passage(key("d"), "new words", version=Version(2, 1), chunk_id="same")
        await kept.store(place, [old])
        await kept.store(place, [new])
        assert len(await kept.find(place, HERE, "same")) == 2
        for _ in range(2):
            await kept.remove(place, [Leaving(key("d"), Version(1, 1))])
        assert [one.passage for one in await kept.find(place, HERE, "same")] == [new.passage]
        assert [one.passage for one in await self.words(kept, place, "words")] == [new.passage]

    async def test_removing_from_an_index_that_is_not_there_makes_none(
        self, kept: VectorIndex, place: Index
    ) -> None:
        await kept.remove(place, [Leaving(key("d"), Version(1, 1))])
        with pytest.raises(IndexMissing):
            await self.near(kept, place, "x")

    async def test_an_index_that_is_not_there_is_missing(
        self, kept: VectorIndex, place: Index
    ) -> None:
        with pytest.raises(IndexMissing):
            await self.near(kept, place, "x")
        with pytest.raises(IndexMissing):
            await kept.find(place, HERE, "x")

    async def test_filters_hold_on_both_routes(self, kept: VectorIndex, place: Index) -> None:
        await kept.store(
            place,
            [
                passage(key("a"), "same words", metadata={"team": "x", "year": "1"}),
                passage(key("b"), "same words", metadata={"team": "y"}, language="de"),
                passage(key("c"), "same words", metadata={"team": "x"}),
            ],
        )
        for search in (self.near, self.words):

            async def ids(**filters: object) -> set[str]:
                found = await search(kept, place, "same words", **filters)  # noqa: B023
                return {one.passage.document.document_id for one in found}

            assert await ids() == {"a", "b", "c"}
            assert await ids(metadata={"team": "x"}) == {"a", "c"}
            assert await ids(metadata={"team": "x", "year": "1"}) == {"a"}
            assert await ids(metadata={"team": "xy"}) == set()
            assert await ids(languages=frozenset({"de"})) == {"b"}
            assert await ids(languages=frozenset({"de", "en"})) == {"a", "b", "c"}
            assert await ids(document_ids=frozenset({"a", "b"}), languages=frozenset({"en"})) == {
                "a"
            }

    async def test_tenants_and_collections_with_the_same_documents_see_their_own(
        self, kept: VectorIndex, place: Index
    ) -> None:
        places = [("acme", "default"), ("rival", "default"), ("acme", "other")]
        await kept.store(place, [passage(key("d", *where), "same words") for where in places])
        for where in places:
            conditions = Conditions(*where)
            for route, probe in ((Route.DENSE, vector_of("same")), (Route.LEXICAL, "same")):
                found = await kept.search(place, route, probe, conditions, 10)
                assert [one.passage.document for one in found] == [key("d", *where)]
            found = await kept.find(place, conditions, "d-1-0")
            assert [one.passage.document for one in found] == [key("d", *where)]

    @pytest.mark.parametrize("name", HOSTILE)
    async def test_hostile_names_change_nothing(
        self, kept: VectorIndex, place: Index, name: str
    ) -> None:
        victim = passage(key("victim", tenant="victim"), "same words")
        mine = passage(key(name), f"same words {name}", metadata={name: name}, chunk_id=name)
        await kept.store(place, [victim, mine])
        for filters in ({}, {"metadata": {name: name}}, {"document_ids": frozenset({name})}):
            for search in (self.near, self.words):
                found = await search(kept, place, "same words", **filters)
                assert [one.passage for one in found] == [mine.passage]
        assert [one.passage for one in await kept.find(place, HERE, name)] == [mine.passage]
        stranger = Conditions(name, name, frozenset({name}), frozenset({name}), {name: name})
        assert await kept.search(place, Route.LEXICAL, f"same {name}", stranger, 10) == []
        await kept.remove(place, [Leaving(key(name), Version(1, 1))])
        assert await kept.find(place, HERE, name) == []
        assert await kept.find(place, Conditions("victim", "default"), "victim-1-0") != []

    async def test_a_limit_is_kept(self, kept: VectorIndex, place: Index) -> None:
        await kept.store(place, [passage(key(f"d{n}"), "same words") for n in range(8)])
        for route, probe in ((Route.DENSE, vector_of("same words")), (Route.LEXICAL, "same")):
            assert len(await kept.search(place, route, probe, HERE, 5)) == 5

    async def test_versions_are_read_whole_and_no_others(
        self, kept: VectorIndex, place: Index
    ) -> None:
        first, second = (
            [passage(key("d"), f"words {n}", version=Version(v, 1), ordinal=n) for n in range(3)]
            for v in (1, 2)
        )
        stranger = passage(key("d", tenant="rival"), "words")
        await kept.store(place, [*first, *second, stranger, passage(key("e"), "words")])
        found = await kept.passages(place, [Wanted(key("d"), Version(2, 1), 3)])
        expected = [one.passage for one in second]
        assert sorted(found, key=lambda one: one.chunk.ordinal) == expected
        assert await kept.passages(place, [Wanted(key("x"), Version(1, 1), 1)]) == []

    async def test_passages_of_an_index_that_is_not_there_are_missing(
        self, kept: VectorIndex, place: Index
    ) -> None:
        with pytest.raises(IndexMissing):
            await kept.passages(place, [Wanted(key("d"), Version(1, 1), 1)])

    async def test_an_empty_index_is_made_and_searched(
        self, kept: VectorIndex, place: Index
    ) -> None:
        for _ in range(2):
            await kept.make(place)
        assert place.name in await kept.names()
        assert await self.near(kept, place, "words") == []
        assert await self.words(kept, place, "words") == []

    async def test_a_dropped_index_is_gone_and_can_be_made_again(
        self, kept: VectorIndex, place: Index
    ) -> None:
        await kept.store(place, [passage(key("d"), "words")])
        for _ in range(2):
            await kept.drop(place.name)
        assert place.name not in await kept.names()
        with pytest.raises(IndexMissing):
            await self.near(kept, place, "words")
        await kept.store(place, [passage(key("e"), "words")])
        found = await self.near(kept, place, "words")
        assert [one.passage.document.document_id for one in found] == ["e"]

    async def test_many_writers_at_once_all_arrive(self, kept: VectorIndex, place: Index) -> None:
        texts = [f"text number{n} common" for n in range(40)]
        await asyncio.gather(
            *(kept.store(place, [passage(key(f"d{n}"), text)]) for n, text in enumerate(texts))
        )
        found = await kept.search(place, Route.DENSE, vector_of("common"), HERE, 100)
        assert {one.passage.chunk.text for one in found} == set(texts)


class TestMemoryVectorIndex(VectorIndexContract):
    @pytest.fixture
    def kept(self) -> MemoryVectorIndex:
        return MemoryVectorIndex()


class TestMilvusVectorIndex(VectorIndexContract):
    @pytest.fixture
    async def kept(self, milvus: MilvusServer) -> AsyncIterator[MilvusVectorIndex]:
        async with MilvusVectorIndex(milvus.uri, timeout=30.0) as kept:
            yield kept

    async def test_a_chunk_larger_than_a_field_is_refused_alone(
        self, kept: VectorIndex, place: Index
    ) -> None:
        large = passage(key("large"), "x" * 70_000)
        small = passage(key("small"), "fine")
        refused, stored = await asyncio.gather(
            kept.store(place, [large]), kept.store(place, [small]), return_exceptions=True
        )
        assert isinstance(refused, PartRefused)
        assert stored is None
        assert len(await self.near(kept, place, "fine")) == 1


def test_pandas_is_left_out_of_pymilvus_and_of_nothing_else() -> None:
    told = (
        "import sys, gyre_retrieval.app as app; "
        "print(sorted({'pandas', 'pyarrow', 'pymilvus'} & set(sys.modules))); "
        "import pandas; print(pandas.DataFrame({'a': [1]}).shape)"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['pymilvus']", "(1, 1)"]


async def answers(kept: VectorIndex) -> None:
    for _ in range(50):
        with contextlib.suppress(IndexUnavailable):
            return await kept.check()
        await asyncio.sleep(0.2)
    raise AssertionError("Milvus did not come back")


async def test_killed_milvus_comes_back_with_all_that_was_stored(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    server = MilvusServer(MilvusSettings(tmp_path_factory.mktemp("killed") / "data"))
    server.start()
    try:
        async with MilvusVectorIndex(server.uri, timeout=15.0, write_timeout=15.0) as kept:
            await kept.store(index(), [passage(key("d"), "still here")])
            server.kill()
            with pytest.raises(IndexUnavailable):
                await kept.search(index(), Route.LEXICAL, "here", HERE, 10)
            with pytest.raises(IndexUnavailable):
                await kept.store(index(), [passage(key("e"), "not now")])
            with pytest.raises(IndexUnavailable):
                await kept.check()
            server.start()
            await answers(kept)
            for route, probe in ((Route.DENSE, vector_of("still here")), (Route.LEXICAL, "still")):
                found = await kept.search(index(), route, probe, HERE, 10)
                assert [one.passage.chunk.text for one in found] == ["still here"]
            await kept.store(index(), [passage(key("e"), "now it is here")])
            assert len(await kept.search(index(), Route.LEXICAL, "here", HERE, 10)) >= 1
    finally:
        server.stop()


async def test_the_alias_names_the_index_in_use(milvus: MilvusServer) -> None:
    from pymilvus import MilvusClient

    place = index("aliased-docs")
    other = shadow_for("aliased-docs", "another", DIMENSION, "r1")
    client = MilvusClient(milvus.uri)
    async with MilvusVectorIndex(milvus.uri, timeout=30.0) as kept:
        await kept.store(place, [passage(key("d"), "text")])
        await kept.store(other, [passage(key("d"), "text")])
        assert client.describe_alias(place.alias)["collection_name"] == place.name
        for now in (other, other, place, other):
            await kept.point(now)
            assert client.describe_alias(place.alias)["collection_name"] == now.name
        await kept.drop(other.name)
    assert place.alias not in client.list_aliases()["aliases"]
    client.close()
