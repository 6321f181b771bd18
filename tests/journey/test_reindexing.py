"""An index for another embedder over gRPC: retrieval and embedding, both whole, on one bus."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from gyre.common.v1.chunk_pb2 import Chunk
from gyre.common.v1.document_pb2 import DocumentRevision, DocumentSource
from gyre.evaluation.v1.events_pb2 import GateApproved, GateDecided
from gyre.ingestion.v1.events_pb2 import DocumentChunked
from gyre.retraining.v1.events_pb2 import ModelTrained
from gyre.retraining.v1.training_pb2 import MODEL_KIND_EMBEDDING, Model, Training
from gyre.retrieval.v1 import reindex_pb2
from gyre.retrieval.v1 import service_pb2 as wire
from gyre.retrieval.v1.events_pb2 import IndexAborted, IndexBuilt, IndexSwitched
from gyre.retrieval.v1.service_pb2_grpc import IndexServiceStub, RetrievalServiceStub
from gyre_client import ClientSettings, Gyre
from gyre_client.cli.app import app
from gyre_client.indexes import JudgedQuery
from gyre_embedding.adapters.memory import MemoryEmbeddingModel
from gyre_embedding.adapters.memory_embedders import MemoryModelServer, MemoryShelf
from gyre_embedding.app import build as build_embedding
from gyre_embedding.settings import Settings as EmbeddingSettings
from gyre_local.ports import free_port
from gyre_retrieval.adapters.memory import MemoryVectorIndex
from gyre_retrieval.adapters.tables import metadata
from gyre_retrieval.app import build
from gyre_retrieval.settings import Settings
from gyre_runtime.bus import Bus, subject_of
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database
from gyre_runtime.events.compose import compose
from gyre_runtime.settings import ApiKey
from pydantic import SecretStr
from typer.testing import CliRunner, Result

NEW = "memory-judged-1"
KEYS = {
    "key-acme": ApiKey(tenant="acme", principal="ann", roles=frozenset({"admin"})),
    "key-reader": ApiKey(tenant="acme", principal="rob", roles=frozenset({"reader"})),
    "key-rival": ApiKey(tenant="rival", principal="rita", roles=frozenset({"admin"})),
}
TEXTS = [f"passage number{number} about roaming" for number in range(12)]


@dataclass
class Platform:
    """Two services on one bus, and the stubs of retrieval."""

    exchange: MemoryExchange
    model: MemoryEmbeddingModel
    indexes: IndexServiceStub
    retrieval: RetrievalServiceStub
    port: int
    server: MemoryModelServer

    def settings(self) -> ClientSettings:
        """Of a client of acme's operator."""
        return ClientSettings(
            retrieval_address=f"127.0.0.1:{self.port}", api_key=SecretStr("key-acme")
        )

    async def command(self, *arguments: str) -> Result:
        """`gyre index ...`, as the same operator."""
        environment = {
            "GYRE_RETRIEVAL_ADDRESS": f"127.0.0.1:{self.port}",
            "GYRE_API_KEY": "key-acme",
            "COLUMNS": "200",
        }
        call = partial(CliRunner().invoke, app, ["index", *arguments], env=environment)
        return await asyncio.to_thread(call)

    async def cut(self, document_id: str, texts: list[str], revision: int = 1) -> None:
        """As ingestion says it; returns when it can be searched."""
        event = DocumentChunked(
            revision=DocumentRevision(
                document_id=document_id, revision_id="r", revision=revision, collection="default"
            ),
            source=DocumentSource(source_uri=document_id, language="en"),
            part_index=0,
            part_count=1,
            attempt=1,
            chunks=[
                Chunk(chunk_id=f"{document_id}-{n}", ordinal=n, text=text, token_count=6)
                for n, text in enumerate(texts)
            ],
        )
        self.exchange.publish(compose(event, tenant="acme", entity_id=document_id, cause=None))
        await self.exchange.settled(60.0)

    async def hear(self, event: Any, tenant: str = "acme") -> None:
        self.exchange.publish(compose(event, tenant=tenant, entity_id="x", cause=None))
        await self.exchange.settled(60.0)

    async def said(self, event: type[Any], count: int) -> list[Any]:
        """The first `count` of a kind."""
        prefix = subject_of(event, "*").removesuffix("*")
        async with asyncio.timeout(60):
            while True:
                stored = [one for one in self.exchange.messages if one.subject.startswith(prefix)]
                if len(stored) >= count:
                    return [event.FromString(one.data) for one in stored]
                await asyncio.sleep(0.02)

    async def call(self, method: str, request: Any, key: str = "key-acme") -> Any:
        stub = self.retrieval if method == "Search" else self.indexes
        return await getattr(stub, method)(request, timeout=30, metadata=credential(key))

    async def stream(self, method: str, request: Any) -> list[Any]:
        call = getattr(self.indexes, method)(request, timeout=30, metadata=credential("key-acme"))
        return [reply async for reply in call]

    async def started(self) -> reindex_pb2.Reindex:
        request = wire.StartReindexRequest(embedder=NEW, reason="judged")
        return (await self.call("StartReindex", request)).reindex

    async def watched(self, reindex_id: str) -> list[reindex_pb2.Reindex]:
        replies = await self.stream("WatchReindex", wire.WatchReindexRequest(reindex_id=reindex_id))
        return [reply.reindex for reply in replies]


class Models:
    """Those that were trained, and the others."""

    def __init__(self, server: MemoryModelServer, others: MemoryEmbeddingModel) -> None:
        self._server, self._others = server, others

    def named(self, name: str) -> MemoryEmbeddingModel:
        chosen = self._server if name.startswith("emb-") else self._others
        return chosen.named(name)


def credential(key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),)


async def platform_in(folder: Path, **changed: Any) -> AsyncIterator[Platform]:
    exchange, port = MemoryExchange(), free_port()
    model = MemoryEmbeddingModel(others=(NEW,))
    own = {"api_keys": KEYS, "metrics_port": 0, "grpc_tenant_rate": 0}
    embedding_settings = EmbeddingSettings(grpc_address=f"127.0.0.1:{port}", **own)
    shelf = MemoryShelf({f"acme/minilm/t{version}": f"content-{version}" for version in (1, 2, 3)})
    server = MemoryModelServer(shelf)
    embedding = build_embedding(
        embedding_settings,
        bus=Bus(embedding_settings, "embedding", link=MemoryLink(exchange)),
        model=model,
        models=Models(server, model),
        shelf=shelf,
        server=server,
    )
    settings = Settings(
        grpc_address="127.0.0.1:0",
        embedding_address=f"127.0.0.1:{port}",
        reindex_pause=0.05,
        reindex_compare_share=1.0,
        reconcile_pause=0.05,
        **own,
        **changed,
    )
    database = Database(f"sqlite+aiosqlite:///{folder}/retrieval.db", metadata)
    bus = Bus(settings, "retrieval", database=database, link=MemoryLink(exchange))
    retrieval = build(settings, index=MemoryVectorIndex(), database=database, bus=bus)
    for service in (embedding, retrieval):
        await service.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{retrieval.rpc.port}") as channel:
            stubs = IndexServiceStub(channel), RetrievalServiceStub(channel)
            yield Platform(exchange, model, *stubs, retrieval.rpc.port, server)
    finally:
        for service in (retrieval, embedding):
            await service.stop()


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async for one in platform_in(tmp_path):
        for number, text in enumerate(TEXTS):
            await one.cut(f"d{number}", [text])
        yield one


async def refused(platform: Platform, method: str, request: Any, key: str = "key-acme") -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await platform.call(method, request, key)
    return refusal.value.code()


async def test_an_index_is_filled_by_a_loaded_model_switched_to_and_searched_by_it(
    platform: Platform,
) -> None:
    started = await platform.started()
    assert (started.principal, started.reason) == ("ann", "judged")
    last = (await platform.watched(started.reindex_id))[-1]
    assert last.state == reindex_pb2.REINDEX_STATE_READY
    assert (last.documents_done, last.chunks_total) == (12, 12)
    assert (last.index.embedder, last.previous.embedder) == (NEW, "memory")
    switch = wire.SwitchIndexRequest(reindex_id=started.reindex_id)
    for _ in range(2):
        after = (await platform.call("SwitchIndex", switch)).reindex
        assert after.state == reindex_pb2.REINDEX_STATE_SWITCHED
    search = wire.SearchRequest(query=TEXTS[5], mode=wire.SEARCH_MODE_DENSE)
    found = await platform.call("Search", search, "key-reader")
    assert found.index_version == last.index.name
    assert found.hits[0].chunk.text == TEXTS[5]
    assert found.hits[0].score == pytest.approx(1.0, abs=1e-4)
    await platform.cut("d40", ["said after the switch"])
    search = wire.SearchRequest(query="said after the switch", mode=wire.SEARCH_MODE_DENSE)
    hit = (await platform.call("Search", search)).hits[0]
    assert (hit.chunk.text, hit.score) == (
        "said after the switch",
        pytest.approx(1.0, abs=1e-4),
    )


async def test_both_indexes_are_compared_by_live_searches_and_by_judgements(
    platform: Platform,
) -> None:
    reindex_id = (await platform.started()).reindex_id
    await platform.watched(reindex_id)
    get = wire.GetReindexRequest(reindex_id=reindex_id)
    async with asyncio.timeout(150):
        while not (await platform.call("GetReindex", get)).reindex.HasField("live"):
            await platform.call("Search", wire.SearchRequest(query="roaming"), "key-reader")
            await asyncio.sleep(0.05)
    live = (await platform.call("GetReindex", get)).reindex.live
    assert live.depth == 10
    assert 0.0 < live.overlap.mean <= 1.0
    assert live.latency_other.p95_seconds >= live.latency_other.median_seconds > 0.0
    assert not live.HasField("helpfulness_difference")
    queries = [
        reindex_pb2.JudgedQuery(query=text, relevant_chunk_ids=[f"d{number}-0"])
        for number, text in enumerate(TEXTS)
    ]
    request = wire.CompareIndexesRequest(reindex_id=reindex_id, queries=queries)
    told = await platform.stream("CompareIndexes", request)
    assert (told[0].queries_done, told[-1].queries_done) == (0, 12)
    judged = told[-1].comparison
    assert (judged.mrr_in_use.mean, judged.mrr_other.mean) == (1.0, 1.0)
    assert (judged.mrr_difference.low, judged.mrr_difference.high) == (0.0, 0.0)
    assert (await platform.call("GetReindex", get)).reindex.judged == judged


async def test_an_index_is_given_up_and_listed(platform: Platform) -> None:
    first = (await platform.started()).reindex_id
    abort = wire.AbortReindexRequest(reindex_id=first, reason="no better")
    for _ in range(2):
        after = (await platform.call("AbortReindex", abort)).reindex
        assert (after.state, after.detail) == (reindex_pb2.REINDEX_STATE_ABORTED, "no better")
    second = (await platform.started()).reindex_id
    page = await platform.call("ListReindexes", wire.ListReindexesRequest(page_size=1))
    assert [one.reindex_id for one in page.reindexes] == [second]
    request = wire.ListReindexesRequest(page_size=1, page_token=page.next_page_token)
    page = await platform.call("ListReindexes", request)
    assert [one.reindex_id for one in page.reindexes] == [first]
    assert page.next_page_token == ""


async def test_what_cannot_be_is_refused_with_its_status(platform: Platform) -> None:
    reindex_id = (await platform.started()).reindex_id
    await platform.watched(reindex_id)
    back = wire.SwitchIndexRequest(reindex_id=reindex_id, back=True)
    compare = wire.CompareIndexesRequest(reindex_id=reindex_id)
    expected = {
        grpc.StatusCode.FAILED_PRECONDITION: [
            ("StartReindex", wire.StartReindexRequest(embedder=NEW)),
            ("StartReindex", wire.StartReindexRequest(embedder="memory")),
            ("StartReindex", wire.StartReindexRequest(embedder="missing")),
            ("SwitchIndex", back),
        ],
        grpc.StatusCode.NOT_FOUND: [
            ("StartReindex", wire.StartReindexRequest(collection="none", embedder=NEW)),
            ("GetReindex", wire.GetReindexRequest(reindex_id="none")),
        ],
        grpc.StatusCode.INVALID_ARGUMENT: [
            ("StartReindex", wire.StartReindexRequest(collection="A", embedder=NEW)),
            ("ListReindexes", wire.ListReindexesRequest(page_token="x")),
            ("ListReindexes", wire.ListReindexesRequest(page_size=1000)),
        ],
    }
    for code, calls in expected.items():
        for method, request in calls:
            assert await refused(platform, method, request) is code, request
    with pytest.raises(grpc.aio.AioRpcError, match="INVALID_ARGUMENT"):
        await platform.stream("CompareIndexes", compare)


async def test_a_reader_looks_and_changes_nothing(platform: Platform) -> None:
    reindex_id = (await platform.started()).reindex_id
    get = wire.GetReindexRequest(reindex_id=reindex_id)
    assert (await platform.call("GetReindex", get, "key-reader")).reindex.reindex_id == reindex_id
    denied = grpc.StatusCode.PERMISSION_DENIED
    start = wire.StartReindexRequest(embedder=NEW)
    abort = wire.AbortReindexRequest(reindex_id=reindex_id)
    assert await refused(platform, "StartReindex", start, "key-reader") is denied
    assert await refused(platform, "AbortReindex", abort, "key-reader") is denied


async def test_only_operators_of_the_platform_change_what_all_tenants_share(
    tmp_path: Path,
) -> None:
    async for platform in platform_in(tmp_path, reindex_tenants=frozenset({"acme"})):
        await platform.cut("d0", ["words"])
        start = wire.StartReindexRequest(embedder=NEW)
        code = await refused(platform, "StartReindex", start, "key-rival")
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert (await platform.started()).index.embedder == NEW


async def test_the_client_fills_compares_switches_and_switches_back(platform: Platform) -> None:
    told: list[tuple[int, int]] = []
    async with Gyre(platform.settings()) as gyre:
        started = await gyre.indexes.start("default", NEW, reason="judged")
        seen = [one async for one in gyre.indexes.watch(started.reindex_id)]
        assert (seen[-1].state, seen[-1].chunks_done) == ("ready", 12)
        queries = [JudgedQuery(text, [f"d{number}-0"]) for number, text in enumerate(TEXTS)]
        judged = await gyre.indexes.compare(
            started.reindex_id, queries, progress=lambda *done: told.append(done)
        )
        assert judged.mrr.other.mean == 1.0
        assert told == [(0, 12), (12, 12)]
        switched = await gyre.indexes.switch(started.reindex_id)
        assert switched.keep_until_time is not None
        assert switched.switch_time is not None
        assert (switched.keep_until_time - switched.switch_time).days == 7
        back = await gyre.indexes.switch(started.reindex_id, back=True)
        assert (back.state, back.judged) == ("ready", judged)
        ended = await gyre.indexes.abort(started.reindex_id, reason="no better")
        assert (ended.state, ended.end_time is None) == ("aborted", False)
        assert [one.state async for one in gyre.indexes.list()] == ["aborted"]


async def test_the_command_line_does_the_same(platform: Platform, tmp_path: Path) -> None:
    filled = await platform.command("reindex", NEW, "--json")
    reindex = json.loads(filled.stdout.splitlines()[-1])
    assert (filled.exit_code, reindex["state"]) == (0, "ready")
    rows = [
        {"query": text, "relevant_chunk_ids": [f"d{number}-0"]} for number, text in enumerate(TEXTS)
    ]
    judged = tmp_path / "judged.jsonl"
    judged.write_text("\n".join(map(json.dumps, rows)))
    compared = await platform.command("compare", reindex["reindex_id"], str(judged))
    assert compared.exit_code == 0
    assert "judged queries (12)" in compared.stdout
    assert "1.000 (1.000 to 1.000)" in compared.stdout
    for arguments, state in ((("switch",), "switched"), (("switch", "--back"), "ready")):
        done = await platform.command(*arguments, reindex["reindex_id"])
        assert done.exit_code == 0
        assert state in done.stdout
    ended = await platform.command("abort", reindex["reindex_id"], "--reason", "no better")
    assert "aborted" in ended.stdout
    listed = await platform.command("list")
    assert (NEW in listed.stdout, listed.exit_code) == (True, 0)
    unknown = await platform.command("show", "none")
    assert unknown.exit_code == 4
    judged.write_text('{"query": "no ids"}')
    wrong = await platform.command("compare", reindex["reindex_id"], str(judged))
    assert wrong.exit_code == 2


def trained(version: int) -> ModelTrained:
    model = Model(
        name="minilm",
        version=version,
        kind=MODEL_KIND_EMBEDDING,
        uri=f"acme/minilm/t{version}",
        content_hash=f"content-{version}",
    )
    return ModelTrained(model=model, training=Training(training_id=f"t{version}"))


async def test_a_trained_embedder_is_indexed_and_used_when_its_gate_passes(
    platform: Platform,
) -> None:
    await platform.hear(trained(1))
    [built] = await platform.said(IndexBuilt, 1)
    assert (built.index.embedder, built.model, built.gated) == ("emb-minilm-v1", "minilm/1", True)
    assert built.previous.embedder == "memory"
    both = []
    for index in (built.index.name, built.previous.name):
        search = wire.SearchRequest(query=TEXTS[5], mode=wire.SEARCH_MODE_DENSE, index=index)
        found = await platform.call("Search", search)
        both.append(found.index_version)
        assert found.hits[0].chunk.text == TEXTS[5]
        code = await refused(platform, "Search", search, "key-rival")
        assert code is grpc.StatusCode.NOT_FOUND
    assert both == [built.index.name, built.previous.name]
    none = wire.SearchRequest(query="x", index="gyre_default_0000")
    assert await refused(platform, "Search", none) is grpc.StatusCode.NOT_FOUND
    decided = GateDecided(gate_id="g1", verdict="pass", needs_approval=True, cause=built.reindex_id)
    approved = GateApproved(gate_id="g1", granted=True, principal="ann", cause=built.reindex_id)
    await platform.hear(approved)
    await platform.hear(decided)
    [switched] = await platform.said(IndexSwitched, 1)
    assert (switched.index, switched.model, switched.back) == (built.index, "minilm/1", False)
    shown = await platform.call("GetReindex", wire.GetReindexRequest(reindex_id=built.reindex_id))
    assert (shown.reindex.gate_id, shown.reindex.gated) == ("g1", True)
    assert shown.reindex.state == reindex_pb2.REINDEX_STATE_SWITCHED
    assert platform.server.loaded == {"emb-minilm-v1", "emb-minilm-v1-query"}
    listed = await platform.command("show", built.reindex_id)
    assert "minilm/1" in listed.stdout
    assert "evaluation's gate" in listed.stdout


async def test_one_whose_gate_fails_goes_with_its_index_and_the_newest_takes_its_place(
    platform: Platform,
) -> None:
    await platform.hear(trained(1))
    [built] = await platform.said(IndexBuilt, 1)
    await platform.hear(trained(2))
    await platform.hear(trained(1))
    [aborted] = await platform.said(IndexAborted, 1)
    assert (aborted.reindex_id, aborted.model) == (built.reindex_id, "minilm/1")
    assert "superseded by minilm/2" in aborted.reason
    newer = (await platform.said(IndexBuilt, 2))[1]
    decided = GateDecided(
        gate_id="g2",
        verdict="fail",
        reasons=["ndcg_at_10 fell by 0.1"],
        cause=newer.reindex_id,
    )
    await platform.hear(decided, tenant="rival")
    await platform.hear(decided)
    last = (await platform.said(IndexAborted, 2))[1]
    assert "ndcg_at_10 fell" in last.reason
    await platform.exchange.settled(60.0)
    search = await platform.call("Search", wire.SearchRequest(query=TEXTS[3]))
    assert search.index_version == newer.previous.name
    left = {name.removesuffix("-query") for name in platform.server.loaded}
    assert "emb-minilm-v2" not in left
    assert platform.exchange.dead_letters == []


async def test_a_persons_reindexing_is_left_alone_and_the_trained_one_waits(
    platform: Platform,
) -> None:
    person = (await platform.started()).reindex_id
    await platform.watched(person)
    await platform.hear(trained(3))
    page = await platform.call("ListReindexes", wire.ListReindexesRequest())
    assert [one.reindex_id for one in page.reindexes] == [person]
    await platform.call("AbortReindex", wire.AbortReindexRequest(reindex_id=person))
    built = (await platform.said(IndexBuilt, 2))[1]
    assert built.model == "minilm/3"


async def test_a_person_may_ask_for_a_gate_too(platform: Platform) -> None:
    filled = await platform.command("reindex", NEW, "--gated", "--json")
    reindex = json.loads(filled.stdout.splitlines()[-1])
    assert (reindex["gated"], reindex["model"]) == (True, "")
    decided = GateDecided(
        verdict="insufficient", reasons=["no policy"], cause=reindex["reindex_id"]
    )
    await platform.hear(decided)
    [aborted] = await platform.said(IndexAborted, 1)
    assert aborted.reason == "gate: insufficient: no policy"
