"""The whole service: both doors, its database, a bus in memory; the index in memory and Milvus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status.rpc_status import from_call
from gyre.common.v1.chunk_pb2 import Chunk, SentenceSpan
from gyre.common.v1.document_pb2 import DocumentRevision, DocumentSource
from gyre.embedding.v1.events_pb2 import ChunksEmbedded, EmbeddedChunk
from gyre.ingestion.v1.events_pb2 import DocumentDeleted
from gyre.retrieval.v1 import service_pb2 as wire
from gyre.retrieval.v1.events_pb2 import DocumentIndexed, DocumentUnindexed
from gyre.retrieval.v1.service_pb2_grpc import RetrievalServiceStub
from gyre_local.milvus import MilvusServer
from gyre_retrieval.adapters.memory import MemoryEmbedder, MemoryVectorIndex
from gyre_retrieval.adapters.milvus import MilvusVectorIndex
from gyre_retrieval.adapters.tables import metadata
from gyre_retrieval.app import build
from gyre_retrieval.domain.index import Index
from gyre_retrieval.domain.passage import EmbeddedPassage
from gyre_retrieval.ports import VectorIndex
from gyre_retrieval.settings import Settings
from gyre_runtime.bus import Bus, subject_of
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database
from gyre_runtime.events.compose import compose
from gyre_runtime.settings import ApiKey
from retrieval_builders import DIMENSION, EMBEDDER, vector_of

KEYS = {
    "key-acme": ApiKey(tenant="acme", principal="a", roles=frozenset({"admin"})),
    "key-rival": ApiKey(tenant="rival", principal="r", roles=frozenset({"admin"})),
    "key-reader": ApiKey(tenant="acme", principal="e", roles=frozenset({"reader"})),
}


def embedded(
    document_id: str,
    texts: Sequence[str],
    *,
    revision: int = 1,
    part: int = 0,
    of: int = 1,
    collection: str = "default",
    **changed: Any,
) -> ChunksEmbedded:
    chunks = [
        EmbeddedChunk(
            chunk=Chunk(
                chunk_id=f"{document_id}-{revision}-{part}-{place}",
                ordinal=part * 100 + place,
                text=text,
                heading_path=["Help"],
                page=2,
                sentences=[SentenceSpan(start=0, end=len(text))],
                token_count=7,
            ),
            vector=vector_of(text).astype("<f4").tobytes(),
        )
        for place, text in enumerate(texts)
    ]
    return ChunksEmbedded(
        **{
            "revision": DocumentRevision(
                document_id=document_id,
                revision_id=f"r{revision}",
                revision=revision,
                collection=collection,
            ),
            "source": DocumentSource(
                source_uri=f"https://example.com/{document_id}",
                title="Help",
                language="en",
                metadata={"team": document_id},
            ),
            "part_index": part,
            "part_count": of,
            "chunks": chunks,
            "embedder": EMBEDDER,
            "dimension": DIMENSION,
            "attempt": 1,
            **changed,
        }
    )


def deleted(document_id: str, revision: int = 1) -> DocumentDeleted:
    return DocumentDeleted(
        revision=DocumentRevision(
            document_id=document_id, revision_id="r", revision=revision, collection="default"
        )
    )


@dataclass
class Running:
    """A started service and how to talk to it."""

    stub: RetrievalServiceStub
    exchange: MemoryExchange
    database: Database

    async def hear(self, *events: ChunksEmbedded | DocumentDeleted, tenant: str = "acme") -> None:
        for event in events:
            revision = event.revision
            self.exchange.publish(
                compose(event, tenant=tenant, entity_id=revision.document_id, cause=None)
            )
        await self.exchange.settled(120.0)

    async def said(self, event: type[DocumentIndexed] | type[DocumentUnindexed]) -> list[Any]:
        """Of all that it has written into its outbox."""
        async with asyncio.timeout(150):
            while await self.database.count_unsent(1):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        prefix = subject_of(event, "*").removesuffix("*")
        stored = [one for one in self.exchange.messages if one.subject.startswith(prefix)]
        return [event.FromString(one.data) for one in stored]

    async def call(self, method: str, request: Any, key: str = "key-acme") -> Any:
        credential = (("authorization", f"Bearer {key}"),)
        return await getattr(self.stub, method)(request, timeout=50, metadata=credential)

    async def texts(self, query: str, key: str = "key-acme", **fields: Any) -> list[str]:
        request = wire.SearchRequest(query=query, **fields)
        return [hit.chunk.text for hit in (await self.call("Search", request, key)).hits]

    async def refused(
        self, method: str, request: Any, key: str = "key-acme"
    ) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await self.call(method, request, key)
        return refusal.value


class Fragile:
    """An index whose process dies after the write and before the commit, so many times."""

    def __init__(self, inner: VectorIndex, crashes: int) -> None:
        self.inner = inner
        self.crashes = crashes
        self.stores = 0

    async def store(self, index: Index, passages: Sequence[EmbeddedPassage]) -> None:
        await self.inner.store(index, passages)
        self.stores += 1
        if self.stores <= self.crashes:
            raise RuntimeError("crash between flush and commit")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


async def served(index: VectorIndex, folder: Path) -> AsyncIterator[Running]:
    settings = Settings(
        api_keys=KEYS, grpc_address="127.0.0.1:0", metrics_port=0, grpc_tenant_rate=0
    )
    database = Database(f"sqlite+aiosqlite:///{folder}/retrieval.db", metadata)
    exchange = MemoryExchange()
    bus = Bus(settings, "retrieval", database=database, link=MemoryLink(exchange))
    embedder = MemoryEmbedder(EMBEDDER, lambda text: vector_of(text).tolist())
    service = build(settings, index=index, embedder=embedder, database=database, bus=bus)
    await service.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{service.rpc.port}") as channel:
            yield Running(RetrievalServiceStub(channel), exchange, database)
    finally:
        await service.stop()


@pytest.fixture(params=["memory", "milvus"])
async def kept(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[VectorIndex]:
    if request.param == "memory":
        yield MemoryVectorIndex()
        return
    server: MilvusServer = request.getfixturevalue("fresh_milvus")
    async with MilvusVectorIndex(server.uri, timeout=30.0) as index:
        yield index


@pytest.fixture(scope="module")
def milvus_of_this_module(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from gyre_local.milvus import MilvusSettings

    with MilvusServer(MilvusSettings(tmp_path_factory.mktemp("service") / "data")) as server:
        yield server


@pytest.fixture
def fresh_milvus(milvus_of_this_module: MilvusServer) -> MilvusServer:
    from pymilvus import MilvusClient

    client = MilvusClient(milvus_of_this_module.uri)
    for name in client.list_collections():
        for alias in client.list_aliases(name)["aliases"]:
            client.drop_alias(alias)
        client.drop_collection(name)
    client.close()
    return milvus_of_this_module


@pytest.fixture
async def running(kept: VectorIndex, tmp_path: Path) -> AsyncIterator[Running]:
    async for one in served(kept, tmp_path):
        yield one


async def test_a_heard_document_is_found_whole_and_said_once(running: Running) -> None:
    first, second = (
        embedded("d", ["alpha words"], part=0, of=2),
        embedded("d", ["beta words"], part=1, of=2),
    )
    await running.hear(second, first, second, first)
    reply = await running.call("Search", wire.SearchRequest(query="alpha"))
    hit = reply.hits[0]
    assert hit.chunk == first.chunks[0].chunk
    assert hit.revision == first.revision
    assert hit.source == first.source
    assert set(hit.routes) == {"dense", "lexical"}
    assert hit.routes["lexical"].rank == 1
    assert reply.index_version.startswith("gyre_default_")
    assert reply.index_duration.ToNanoseconds() > 0
    said = await running.said(DocumentIndexed)
    assert [(one.revision, one.chunk_count, one.embedder) for one in said] == [
        (first.revision, 2, EMBEDDER)
    ]


async def test_a_deleted_document_is_not_found_and_that_is_said(running: Running) -> None:
    await running.hear(embedded("d", ["alpha"]), embedded("e", ["alpha too"]))
    await running.hear(deleted("d"))
    assert await running.texts("alpha") == ["alpha too"]
    said = await running.said(DocumentUnindexed)
    assert [(one.revision.document_id, one.chunk_count) for one in said] == [("d", 1)]


async def test_tenants_with_the_same_document_see_their_own(running: Running) -> None:
    await running.hear(embedded("d", ["same words"]))
    await running.hear(embedded("d", ["same words"]), tenant="rival")
    for key in ("key-acme", "key-rival"):
        assert await running.texts("same words", key) == ["same words"]
    await running.hear(deleted("d"))
    assert await running.texts("same words") == []
    assert await running.texts("same words", "key-rival") == ["same words"]


async def test_collections_are_made_listed_and_filled(running: Running) -> None:
    made = await running.call("CreateCollection", wire.CreateCollectionRequest(collection="empty"))
    assert (made.collection.name, made.collection.document_count) == ("empty", 0)
    assert await running.texts("alpha", collection="empty") == []
    await running.hear(embedded("d", ["alpha", "beta"]))
    listed = (await running.call("ListCollections", wire.ListCollectionsRequest())).collections
    assert [(one.name, one.document_count, one.chunk_count) for one in listed] == [
        ("default", 1, 2),
        ("empty", 0, 0),
    ]
    assert listed[0].embedder == EMBEDDER
    others = await running.call("ListCollections", wire.ListCollectionsRequest(), "key-rival")
    assert list(others.collections) == []


async def test_a_chunk_is_given_by_its_id(running: Running) -> None:
    event = embedded("d", ["alpha"])
    await running.hear(event)
    reply = await running.call("GetChunk", wire.GetChunkRequest(chunk_id="d-1-0-0"))
    assert (reply.chunk, reply.revision) == (event.chunks[0].chunk, event.revision)
    unknown = await running.refused("GetChunk", wire.GetChunkRequest(chunk_id="nothing"))
    assert unknown.code() is grpc.StatusCode.NOT_FOUND


async def test_modes_filters_and_limits_are_obeyed(running: Running) -> None:
    await running.hear(*(embedded(name, [f"common {name}"]) for name in ("one", "two", "three")))
    assert len(await running.texts("common", top_k=2)) == 2
    lexical = {"mode": wire.SEARCH_MODE_LEXICAL}
    assert await running.texts("two", **lexical) == ["common two"]
    only = wire.SearchFilter(metadata={"team": "one"}, languages=["en"])
    assert await running.texts("common", filter=only) == ["common one"]
    none = wire.SearchFilter(languages=["de"])
    assert await running.texts("common", filter=none) == []
    dense = {"mode": wire.SEARCH_MODE_DENSE, "minimum_score": 0.99}
    assert await running.texts("common three", **dense) == ["common three"]


async def test_an_invalid_question_says_which_fields_are_wrong(running: Running) -> None:
    refusal = await running.refused("Search", wire.SearchRequest(top_k=500, collection="A"))
    assert refusal.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert set(violations(refusal)) == {"query", "top_k", "collection"}
    refusal = await running.refused("CreateCollection", wire.CreateCollectionRequest())
    assert set(violations(refusal)) == {"collection"}


async def test_an_unknown_collection_is_not_found(running: Running) -> None:
    refusal = await running.refused("Search", wire.SearchRequest(query="x", collection="none"))
    assert refusal.code() is grpc.StatusCode.NOT_FOUND
    assert "upload" in (refusal.details() or "")


async def test_a_reader_may_search_and_not_make(running: Running) -> None:
    await running.hear(embedded("d", ["alpha"]))
    assert await running.texts("alpha", "key-reader") == ["alpha"]
    request = wire.CreateCollectionRequest(collection="mine")
    refusal = await running.refused("CreateCollection", request, "key-reader")
    assert refusal.code() is grpc.StatusCode.PERMISSION_DENIED


POISON = {
    "vector_not_finite": {"dimension": 1, "chunks": [EmbeddedChunk(vector=b"\x00\x00\xc0\x7f")]},
    "wrong_dimension": {"dimension": 3, "chunks": [EmbeddedChunk(vector=b"12345678")]},
    "bad_part": {"part_count": 0},
    "bad_collection": {"collection": "../../etc"},
    "embedder_mismatch": {
        "dimension": 1,
        "chunks": [EmbeddedChunk(chunk=Chunk(chunk_id="c"), vector=b"\x00\x00\x80\x3f")],
    },
}


@pytest.mark.parametrize("reason", POISON)
async def test_poison_goes_to_the_dead_letters_and_hurts_nobody(
    running: Running, reason: str
) -> None:
    await running.hear(embedded("innocent", ["before"]))
    await running.hear(embedded("d", ["poison"], **POISON[reason]))
    await running.hear(embedded("other", ["after"]))
    letters = running.exchange.dead_letters
    assert [letter.headers["gyre-reason"] for letter in letters] == [reason]
    assert sorted(await running.texts("before after")) == ["after", "before"]


@pytest.mark.parametrize("crashes", [1, 3])
async def test_a_crash_between_flush_and_commit_changes_nothing(
    kept: VectorIndex, tmp_path: Path, crashes: int
) -> None:
    fragile = Fragile(kept, crashes)
    async for running in served(fragile, tmp_path):  # type: ignore[arg-type]
        await running.hear(embedded("d", ["alpha", "beta"]))
        assert fragile.stores == crashes + 1
        assert sorted(await running.texts("alpha beta")) == ["alpha", "beta"]
        assert len(await running.said(DocumentIndexed)) == 1


async def test_while_the_index_is_down_nothing_is_lost_and_searches_say_so(tmp_path: Path) -> None:
    index = MemoryVectorIndex()
    async for running in served(index, tmp_path):
        await running.hear(embedded("d", ["alpha"]))
        index.down = True
        refusal = await running.refused("Search", wire.SearchRequest(query="alpha"))
        assert refusal.code() is grpc.StatusCode.UNAVAILABLE
        assert retry_after(refusal) > 0
        heard = asyncio.create_task(running.hear(embedded("e", ["alpha too"])))
        await asyncio.sleep(0.2)
        index.down = False
        await heard
        assert sorted(await running.texts("alpha")) == ["alpha", "alpha too"]
        assert running.exchange.dead_letters == []


async def test_milvus_killed_and_restarted_loses_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from gyre_local.milvus import MilvusSettings

    server = MilvusServer(MilvusSettings(tmp_path_factory.mktemp("killed") / "data"))
    server.start()
    try:
        async with MilvusVectorIndex(server.uri, timeout=15.0, write_timeout=15.0) as index:
            async for running in served(index, tmp_path):
                await running.hear(embedded("d", ["alpha"]))
                server.kill()
                refusal = await running.refused("Search", wire.SearchRequest(query="alpha"))
                assert refusal.code() is grpc.StatusCode.UNAVAILABLE
                assert retry_after(refusal) > 0
                server.start()
                await running.hear(embedded("e", ["alpha too"]), deleted("d"))
                assert await running.texts("alpha") == ["alpha too"]
    finally:
        server.stop()


def violations(refusal: grpc.aio.AioRpcError) -> dict[str, str]:
    bad = detail(refusal, error_details_pb2.BadRequest)
    return {one.field: one.description for one in bad.field_violations}


def retry_after(refusal: grpc.aio.AioRpcError) -> float:
    delay = detail(refusal, error_details_pb2.RetryInfo).retry_delay
    return delay.ToTimedelta().total_seconds()


def detail(refusal: grpc.aio.AioRpcError, kind: Any) -> Any:
    status = from_call(refusal)
    assert status is not None
    found = kind()
    assert any(one.Unpack(found) for one in status.details)
    return found
