"""How much slower are searches while an index for another embedder is filled beside them?

    python -m tests.load.reindex [--passages 2000]

Starts a real Milvus Lite server and the retrieval service in a process of its own (real gRPC, real
SQLite catalogue, a bus in memory), fills the collection, and asks hybrid searches one after the
other: before, while the new index is filled (share 0.5, the default), and after the switch. Vectors
come from memory: what the embedding model itself takes from searches is not in it. Dual reads of
live searches are off, as they begin when the index is filled.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

import grpc
from gyre.retrieval.v1 import reindex_pb2
from gyre.retrieval.v1 import service_pb2 as wire
from gyre.retrieval.v1.service_pb2_grpc import IndexServiceStub, RetrievalServiceStub
from gyre_local.milvus import MilvusServer, MilvusSettings
from gyre_retrieval.adapters.memory import MemoryEmbedder
from gyre_retrieval.adapters.tables import metadata
from gyre_retrieval.app import build
from gyre_retrieval.settings import Settings
from gyre_runtime.bus import Bus
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database

from tests.load.report import Report, parser
from tests.load.search import CREDENTIAL, EMBEDDER, fill, vector, words

NEW = "random-2"
SEARCHES = 100


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--passages", type=int, default=2000)
    passages = arguments.parse_args().passages
    report = Report("reindex")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            MilvusServer(MilvusSettings(folder / "milvus")) as server,
            served(folder, server.uri, passages) as port,
            grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            measure(RetrievalServiceStub(channel), IndexServiceStub(channel), report)
    report.notes.append(f"{passages} passages, hybrid searches one after the other, top 10")
    report.save()


def measure(search: RetrievalServiceStub, indexes: IndexServiceStub, report: Report) -> None:
    for _ in range(10):
        asked(search)
    before = [asked(search) for _ in range(SEARCHES)]
    request = wire.StartReindexRequest(embedder=NEW)
    started = time.perf_counter()
    reindex = indexes.StartReindex(request, timeout=60, metadata=CREDENTIAL).reindex
    during = []
    while state(indexes, reindex.reindex_id) == reindex_pb2.REINDEX_STATE_FILLING:
        during += [asked(search) for _ in range(10)]
    report.add("passages copied", reindex.chunks_total / (time.perf_counter() - started), "per s")
    started = time.perf_counter()
    switch = wire.SwitchIndexRequest(reindex_id=reindex.reindex_id)
    indexes.SwitchIndex(switch, timeout=60, metadata=CREDENTIAL)
    report.at_most("SwitchIndex", (time.perf_counter() - started) * 1000, "ms", 1000)
    after = [asked(search) for _ in range(SEARCHES)]
    for name, times in (("while it is filled", during), ("after the switch", after)):
        median = statistics.median(times)
        report.add(f"Search p50 {name}", median, "ms", peer=statistics.median(before))
        report.add(f"Search p95 {name}", late(times), "ms", peer=late(before))


def asked(search: RetrievalServiceStub) -> float:
    """Milliseconds."""
    request = wire.SearchRequest(query=words(6))
    started = time.perf_counter()
    search.Search(request, timeout=60, metadata=CREDENTIAL)
    return (time.perf_counter() - started) * 1000


def state(indexes: IndexServiceStub, reindex_id: str) -> int:
    request = wire.GetReindexRequest(reindex_id=reindex_id)
    return int(indexes.GetReindex(request, timeout=60, metadata=CREDENTIAL).reindex.state)


def late(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


@contextmanager
def served(folder: Path, milvus: str, passages: int) -> Iterator[int]:
    """The port of the filled service, which runs in a process of its own."""
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
        reindex_compare_share=0.0,
    )
    database = Database(f"sqlite+aiosqlite:///{folder}/retrieval.db", metadata)
    exchange = MemoryExchange()
    bus = Bus(settings, "retrieval", database=database, link=MemoryLink(exchange))
    others = {NEW: lambda text: vector(text[::-1]).tolist()}
    embedder = MemoryEmbedder(EMBEDDER, lambda text: vector(text).tolist(), others)
    service = build(settings, embedder=embedder, database=database, bus=bus)
    await service.start()
    try:
        await fill(exchange, passages)
        caller.send(service.rpc.port if service.rpc else 0)
        with suppress(EOFError):
            await asyncio.to_thread(caller.recv)
    finally:
        await service.stop()


if __name__ == "__main__":
    main()
