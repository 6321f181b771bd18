"""What does Search cost over raw pymilvus on the same data? Goal: at most 10 % + 2 ms.

    python -m tests.load.search [--passages 1000] [--searches 100]

Starts a real Milvus Lite server and the retrieval service in a process of its own (real gRPC, real
SQLite catalogue, a bus in memory), fills them through the service's own handler, and asks each
question in turn of raw pymilvus and of the service's Search RPC, so that both meet the same
machine. Query vectors come from memory on both sides: the embedding model is not measured. The raw
search has the same physical collection, tenant filter, number of hits and output as the service's.
Hybrid has two raw peers: Milvus' own `hybrid_search`, one call that knows neither our fusion nor
each route's scores, and two searches fused by hand, which give what the service answers. Neither
peer looks at the catalogue, and neither sees that a document changed meanwhile.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from gyre.common.v1.chunk_pb2 import Chunk, SentenceSpan
from gyre.common.v1.document_pb2 import DocumentRevision, DocumentSource
from gyre.embedding.v1.events_pb2 import ChunksEmbedded, EmbeddedChunk
from gyre.retrieval.v1 import service_pb2 as wire
from gyre.retrieval.v1.service_pb2_grpc import RetrievalServiceStub
from gyre_local.milvus import MilvusServer, MilvusSettings
from gyre_retrieval.adapters.memory import MemoryEmbedder
from gyre_retrieval.adapters.milvus.filters import scope_filter
from gyre_retrieval.adapters.tables import metadata
from gyre_retrieval.app import build
from gyre_retrieval.domain.index import index_for
from gyre_retrieval.domain.query import Conditions
from gyre_retrieval.domain.terms import query_terms
from gyre_retrieval.settings import Settings
from gyre_runtime.bus import Bus
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database
from gyre_runtime.events.compose import compose
from pymilvus import AnnSearchRequest, MilvusClient, WeightedRanker

from tests.load.report import Report, parser

DIMENSION = 384
EMBEDDER = "random-1"
TOP_K = 10
CHUNKS_PER_DOCUMENT = 10
WORDS = [f"word{number}" for number in range(20_000)]
# As in texts: some words are everywhere, most are rare, and passages differ in length. Words of
# one rarity in passages of one length would give BM25 scores that are equal by the dozen.
RARITY = [1 / (number + 50) for number in range(len(WORDS))]
LENGTHS = (60, 180)
CREDENTIAL = (("authorization", "Bearer gyre-dev-key"),)
MODES = {
    "dense": wire.SEARCH_MODE_DENSE,
    "lexical": wire.SEARCH_MODE_LEXICAL,
    "hybrid": wire.SEARCH_MODE_HYBRID,
}
# Mode -> what one would write by hand instead, by its name in the report.
PEERS = {
    "dense": {"raw pymilvus": "dense"},
    "lexical": {"raw pymilvus": "lexical"},
    "hybrid": {"hybrid_search of pymilvus": "hybrid", "two searches fused by hand": "by_hand"},
}


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--passages", type=int, default=1000)
    arguments.add_argument("--searches", type=int, default=100)
    options = arguments.parse_args()
    report = Report("search")
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.passages, options.searches, report)
    report.save()


def measure(folder: Path, passages: int, searches: int, report: Report) -> None:
    with (
        MilvusServer(MilvusSettings(folder / "milvus")) as server,
        served(folder, server.uri, passages) as (port, note),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        report.notes.append(note)
        compare(Raw(server.uri), RetrievalServiceStub(channel), searches, report)
    report.notes.append(f"{passages} passages, {searches} searches per mode, top {TOP_K}")


@contextmanager
def served(folder: Path, milvus: str, passages: int) -> Iterator[tuple[int, str]]:
    """The filled service in a process of its own: its port, and what filling took."""
    processes = multiprocessing.get_context("spawn")
    here, there = processes.Pipe()
    process = processes.Process(target=serve, args=(folder, milvus, passages, there))
    process.start()
    there.close()
    try:
        yield here.recv()
    finally:
        here.close()
        process.join()


def serve(folder: Path, milvus: str, passages: int, caller: Connection) -> None:
    asyncio.run(run(folder, milvus, passages, caller))


async def run(folder: Path, milvus: str, passages: int, caller: Connection) -> None:
    settings = Settings(
        grpc_address="127.0.0.1:0",
        metrics_port=0,
        grpc_tenant_rate=0,
        milvus_url=milvus,
        milvus_timeout=60.0,
    )
    database = Database(f"sqlite+aiosqlite:///{folder}/retrieval.db", metadata)
    exchange = MemoryExchange()
    bus = Bus(settings, "retrieval", database=database, link=MemoryLink(exchange))
    embedder = MemoryEmbedder(EMBEDDER, lambda text: vector(text).tolist())
    service = build(settings, embedder=embedder, database=database, bus=bus)
    await service.start()
    try:
        caller.send((service.rpc.port, await fill(exchange, passages)))
        with suppress(EOFError):
            await asyncio.to_thread(caller.recv)
    finally:
        await service.stop()


class Raw:
    """What one would write by hand against pymilvus."""

    def __init__(self, uri: str) -> None:
        self._client = MilvusClient(uri)
        self._name = index_for("default", EMBEDDER, DIMENSION).name
        self._filter = scope_filter(Conditions("demo", "default"))
        self._depth = Settings().fusion_depth

    def dense(self, text: str) -> int:
        return self._search(vector(text), "dense", "COSINE")

    def lexical(self, text: str) -> int:
        return self._search(" ".join(query_terms(text)), "lexical", "BM25")

    def hybrid(self, text: str) -> int:
        routes = (
            (vector(text), "dense", "COSINE"),
            (" ".join(query_terms(text)), "lexical", "BM25"),
        )
        requests = [
            AnnSearchRequest([data], field, {"metric_type": metric}, self._depth, self._filter)
            for data, field, metric in routes
        ]
        ranker = WeightedRanker(0.5, 0.5)
        found = self._client.hybrid_search(
            self._name, requests, ranker, limit=TOP_K, output_fields=["payload"]
        )
        return len([hit["entity"]["payload"] for hit in found[0]])

    def by_hand(self, text: str) -> int:
        """What hybrid answers: both routes' scores over their best ones, weighted and added."""
        fused: dict[str, float] = {}
        payloads: dict[str, str] = {}
        for hits in (
            self._hits(vector(text), "dense", "COSINE", self._depth),
            self._hits(" ".join(query_terms(text)), "lexical", "BM25", self._depth),
        ):
            best = abs(hits[0]["distance"]) if hits else 1.0
            for hit in hits:
                payloads[hit["id"]] = hit["entity"]["payload"]
                fused[hit["id"]] = fused.get(hit["id"], 0.0) + 0.5 * abs(hit["distance"]) / best
        return len([payloads[key] for key in sorted(fused, key=fused.__getitem__)[-TOP_K:]])

    def _search(self, data: Any, field: str, metric: str) -> int:
        return len([hit["entity"]["payload"] for hit in self._hits(data, field, metric, TOP_K)])

    def _hits(self, data: Any, field: str, metric: str, limit: int) -> Sequence[Any]:
        found = self._client.search(
            self._name,
            [data],
            anns_field=field,
            filter=self._filter,
            limit=limit,
            output_fields=["payload"],
            search_params={"metric_type": metric},
        )
        return list(found[0])


def compare(raw: Raw, stub: RetrievalServiceStub, searches: int, report: Report) -> None:
    queries = [words(6) for _ in range(searches)]
    for name, mode in MODES.items():

        def by_service(text: str) -> int:
            request = wire.SearchRequest(query=text, mode=mode, top_k=TOP_K)  # noqa: B023
            return len(stub.Search(request, timeout=60, metadata=CREDENTIAL).hits)

        for what, method in PEERS[name].items():
            bare, ours = in_turn(getattr(raw, method), by_service, queries, name)
            tell(report, name, what, bare, ours)


def in_turn(
    one: Callable[[str], int], other: Callable[[str], int], queries: Sequence[str], name: str
) -> tuple[list[float], list[float]]:
    """Milliseconds of each; who goes first changes every time."""
    one(queries[0])
    other(queries[0])
    times: dict[Any, list[float]] = {one: [], other: []}
    for done, text in enumerate(queries, start=1):
        pair = (one, other) if done % 2 else (other, one)
        counts = []
        for call in pair:
            started = time.perf_counter()
            counts.append(call(text))
            times[call].append((time.perf_counter() - started) * 1000)
        if counts[0] != counts[1]:
            raise SystemExit(f"{name}: {counts} hits for the same question")
        show(f"{name}: asked", done, len(queries))
    return times[one], times[other]


def tell(report: Report, name: str, peer: str, bare: list[float], served: list[float]) -> None:
    raw, ours = statistics.median(bare), statistics.median(served)
    allowed = 1.1 * raw + 2
    what, goal = f"Search {name} p50, {peer}", f"at most {allowed:.1f} ms (10 % + 2 ms)"
    report.add(what, ours, "ms", peer=raw, goal=goal, reached=ours <= allowed)
    late, raw_late = (statistics.quantiles(times, n=20)[-1] for times in (served, bare))
    report.add(f"Search {name} p95, {peer}", late, "ms", peer=raw_late)


async def fill(exchange: MemoryExchange, passages: int) -> str:
    documents = max(passages // CHUNKS_PER_DOCUMENT, 1)
    started = time.monotonic()
    for number in range(documents):
        event = document(f"d{number}")
        exchange.publish(compose(event, tenant="demo", entity_id=f"d{number}", cause=None))
    show("published", documents, documents)
    await exchange.settled(600.0)
    seconds = time.monotonic() - started
    return f"indexed {documents} documents ({passages} passages) in {seconds:.1f} s"


def document(name: str) -> ChunksEmbedded:
    chunks = []
    for ordinal in range(CHUNKS_PER_DOCUMENT):
        text = words(random.randint(*LENGTHS)) + "."
        span = SentenceSpan(start=0, end=len(text))
        chunk = Chunk(chunk_id=f"{name}-{ordinal}", ordinal=ordinal, text=text, sentences=[span])
        chunks.append(EmbeddedChunk(chunk=chunk, vector=vector(text).tobytes()))
    return ChunksEmbedded(
        revision=DocumentRevision(
            document_id=name, revision_id="1", revision=1, collection="default"
        ),
        source=DocumentSource(source_uri=name, title=name, language="en"),
        part_count=1,
        chunks=chunks,
        embedder=EMBEDDER,
        dimension=DIMENSION,
        attempt=1,
    )


def words(count: int) -> str:
    return " ".join(random.choices(WORDS, RARITY, k=count))


def vector(text: str) -> np.ndarray:
    numbers = np.random.default_rng(zlib.crc32(text.encode())).normal(size=DIMENSION).astype("<f4")
    return numbers / np.linalg.norm(numbers)


def show(what: str, done: int, total: int) -> None:
    sys.stderr.write(f"\r{what} {done} of {total}" + ("\n" if done == total else ""))
    sys.stderr.flush()


if __name__ == "__main__":
    main()
