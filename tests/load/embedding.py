"""Sentences a second through the embedding service against sentence-transformers; same texts.

Bulk is the way of documents: durable `DocumentChunked` events in, `ChunksEmbedded` events out.
Embed is the RPC, 64 texts a call, two calls at a time. The arms take turns. Then the latency of a
one-text query, alone and while bulk runs. Vectors are compared with the peer's float32 ones: by
cosine, and by how many of each passage's ten nearest passages are the same.

    python -m tests.load.embedding [--passages 256] [--tokens 160] [--rounds 3] [--int8]

`--int8` serves the network quantised to int8 in place of the default one. It is made once, by
NNCF, from passages that are not measured.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import grpc
import nats
import numpy as np
from gyre.common.v1.chunk_pb2 import Chunk, SentenceSpan
from gyre.common.v1.document_pb2 import DocumentRevision, DocumentSource
from gyre.embedding.v1.events_pb2 import ChunksEmbedded
from gyre.embedding.v1.service_pb2 import EmbedRequest
from gyre.embedding.v1.service_pb2_grpc import EmbeddingServiceStub
from gyre.ingestion.v1.events_pb2 import DocumentChunked
from gyre_runtime.bus.publishing import JetStreamPublisher
from gyre_runtime.events.compose import compose
from nats.aio.client import Client
from nats.js.api import ConsumerConfig, DeliverPolicy

from tests.load import peer_programs
from tests.load.corpus import MODEL, Counter, passages
from tests.load.peers import Peer
from tests.load.report import ROOT, Report, parser, progress
from tests.platform.running import RunningPlatform

KEY = (("authorization", "Bearer gyre-dev-key"),)
PART, CALL = 16, 64
QUERY = "How do I apply for benefits after leaving the service?"
PROGRAMS = ("nats", "triton", "provisioner", "embedding")
INT8 = MODEL.with_name(f"{MODEL.name}-openvino-int8")
CALIBRATION, ALL = 128, 1_000_000
NEAREST = 10
Vectors = dict[str, np.ndarray]


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--passages", type=int, default=256)
    arguments.add_argument("--tokens", type=int, default=160)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--int8", action="store_true", help="serve the int8 network")
    options = arguments.parse_args()
    report = Report("embedding-int8" if options.int8 else "embedding")
    with tempfile.TemporaryDirectory() as folder:
        if options.int8:
            link_int8(Path(folder) / "models", options.tokens)
        platform = RunningPlatform(Path(folder), only=PROGRAMS)
        try:
            platform.start()
            with Peer(Path(peer_programs.__file__), "sentence-transformers", str(MODEL)) as peer:
                asyncio.run(measure(platform, peer, options, report))
        finally:
            platform.stop()
    report.save()


def link_int8(models: Path, tokens: int) -> None:
    """The folder in which a platform looks for its models, with the int8 network in place."""
    if not INT8.is_dir():
        quantise(tokens)
    models.mkdir()
    (models / MODEL.name).symlink_to(MODEL)
    (models / f"{MODEL.name}-openvino").symlink_to(INT8)


def quantise(tokens: int) -> None:
    """By the model environment, as an operator would; from the last passages of the corpus."""
    python = ROOT / ".venv-models" / "bin" / "python"
    calibration = INT8.with_suffix(".txt")
    some = passages(ALL, tokens)[-CALIBRATION:]
    calibration.write_text("\n".join(" ".join(one.split()) for one in some))
    command = (python, "-m", "gyre_models", "export-embedding", "--model-dir", MODEL)
    options = ("--output", INT8, "--calibration", calibration)
    if subprocess.run((*command, *options), check=False).returncode:
        raise SystemExit(
            "the int8 network was not made; NNCF is installed by `.venv/bin/uv pip install "
            "--python .venv-models/bin/python -e 'infra/triton[int8]'`"
        )


async def measure(
    platform: RunningPlatform, peer: Peer, options: argparse.Namespace, report: Report
) -> None:
    texts = passages(options.passages, options.tokens)
    size = options.tokens
    report.notes.append(f"{len(texts)} passages of {size} tokens, {options.rounds} rounds")
    client = await nats.connect(platform.environment["GYRE_NATS_URL"])
    async with grpc.aio.insecure_channel(platform.environment["GYRE_EMBEDDING_ADDRESS"]) as channel:
        bulk, rpc = Bulk(client, Counter()), Rpc(EmbeddingServiceStub(channel))
        await bulk(texts[:32])
        await rpc(texts[:32])
        rates, exact, ours = await in_turn(bulk, rpc, peer, texts, options.rounds)
        report_rates(report, rates, times=4 if options.int8 else 2.5)
        report_likeness(report, ours, exact, "" if options.int8 else "at least 0.999")
        await report_latency(report, bulk, rpc, texts)
    await client.close()


async def in_turn(
    bulk: Bulk, rpc: Rpc, peer: Peer, texts: Sequence[str], rounds: int
) -> tuple[dict[str, list[float]], Vectors, Vectors]:
    """Sentences a second of each arm by round; the peer's vectors and ours."""
    rates: dict[str, list[float]] = {"bulk": [], "rpc": [], "peer": []}
    question = {"texts": list(texts), "vectors": True}
    for number in range(rounds):
        seconds, ours = await bulk(texts)
        rates["bulk"].append(len(texts) / seconds)
        seconds, _ = await rpc(texts)
        rates["rpc"].append(len(texts) / seconds)
        answer = await asyncio.to_thread(peer.ask, question)
        rates["peer"].append(len(texts) / answer["seconds"])
        progress("rounds", number + 1, rounds)
    exact = {text: np.array(one) for text, one in zip(texts, answer["vectors"], strict=True)}
    return rates, exact, ours


def report_rates(report: Report, rates: dict[str, list[float]], times: float) -> None:
    medians = {name: statistics.median(found) for name, found in rates.items()}
    for name in ("bulk", "rpc"):
        what = f"{name}, sentence-transformers"
        report.at_least(what, medians[name], "sentences/s", times=times, peer=medians["peer"])


def report_likeness(report: Report, ours: Vectors, exact: Vectors, goal: str) -> None:
    """What the speed costs; goal: of the smallest cosine."""
    cosines = [float(ours[text] @ exact[text]) for text in exact]
    least = min(cosines)
    reached = least >= 0.999 if goal else None
    report.add("smallest cosine to float32", least, "", goal=goal, reached=reached)
    report.add("mean cosine to float32", statistics.mean(cosines), "")
    report.add(f"of the {NEAREST} nearest passages, the same", overlap(ours, exact), "")


def overlap(ours: Vectors, exact: Vectors) -> float:
    """Share of each passage's nearest passages that both kinds of vectors name."""
    near, true = (nearest(np.array([kind[text] for text in exact])) for kind in (ours, exact))
    shared = [len(set(one) & set(other)) for one, other in zip(near, true, strict=True)]
    return statistics.mean(shared) / NEAREST


def nearest(vectors: np.ndarray) -> list[list[int]]:
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -1.0)
    found: list[list[int]] = np.argsort(-likeness, axis=1)[:, :NEAREST].tolist()
    return found


async def report_latency(report: Report, bulk: Bulk, rpc: Rpc, texts: Sequence[str]) -> None:
    alone = [await rpc.query() for _ in range(50)]
    work = asyncio.create_task(bulk(texts))
    busy: list[float] = []
    while not work.done():
        busy.append(await rpc.query())
    seconds, _ = await work
    report.add("query alone, p50", statistics.median(alone) * 1000, "ms")
    report.add("query while bulk runs, p50", statistics.median(busy) * 1000, "ms")
    report.add("query while bulk runs, p95", statistics.quantiles(busy, n=20)[-1] * 1000, "ms")
    rate = len(texts) / seconds
    report.notes.append(f"{len(busy)} queries were answered while bulk did {rate:.1f} sentences/s")


class Rpc:
    """The RPC, as retrieval and product backends call it."""

    def __init__(self, stub: EmbeddingServiceStub) -> None:
        self._stub = stub

    async def __call__(self, texts: Sequence[str]) -> tuple[float, Vectors]:
        """Seconds and vectors."""
        gate = asyncio.Semaphore(2)
        calls = [texts[start : start + CALL] for start in range(0, len(texts), CALL)]
        started = time.perf_counter()
        made = await asyncio.gather(*(self._embed(call, gate) for call in calls))
        return time.perf_counter() - started, {k: v for found in made for k, v in found.items()}

    async def query(self) -> float:
        """Seconds for one short text."""
        started = time.perf_counter()
        await self._embed([QUERY], asyncio.Semaphore())
        return time.perf_counter() - started

    async def _embed(self, texts: Sequence[str], gate: asyncio.Semaphore) -> Vectors:
        async with gate:
            reply = await self._stub.Embed(EmbedRequest(texts=texts), metadata=KEY, timeout=120)
        vectors = (np.frombuffer(one.vector, "<f4") for one in reply.embeddings)
        return dict(zip(texts, vectors, strict=True))


class Bulk:
    """Events in, events out, as between ingestion and retrieval."""

    def __init__(self, client: Client, count: Counter) -> None:
        self._client, self._count = client, count

    async def __call__(self, texts: Sequence[str]) -> tuple[float, Vectors]:
        """Seconds from the first publish to the last vector, and the vectors."""
        document = str(uuid4())
        events = list(self._events(document, texts))
        reader = await self._client.jetstream().pull_subscribe(
            *("gyre.embedding.v1.chunks_embedded.demo", None, "EMBEDDING"),
            config=ConsumerConfig(deliver_policy=DeliverPolicy.NEW, inactive_threshold=60.0),
        )
        started = time.perf_counter()
        said = [
            compose(one, tenant="demo", entity_id=document, cause=f"{document}-{one.part_index}")
            for one in events
        ]
        await JetStreamPublisher(self._client).publish(said)
        found: Vectors = {}
        while len(found) < len(texts):
            with suppress(TimeoutError):
                for message in await reader.fetch(10, timeout=1.0):
                    found |= vectors_of(ChunksEmbedded.FromString(message.data), document)
                    await message.ack()
        seconds = time.perf_counter() - started
        await reader.unsubscribe()
        return seconds, found

    def _events(self, document: str, texts: Sequence[str]) -> Iterable[DocumentChunked]:
        revision = DocumentRevision(
            document_id=document, revision_id=document, revision=1, collection="default"
        )
        parts = [texts[start : start + PART] for start in range(0, len(texts), PART)]
        for index, part in enumerate(parts):
            yield DocumentChunked(
                revision=revision,
                source=DocumentSource(source_uri=document, title="load", language="en"),
                part_index=index,
                part_count=len(parts),
                attempt=1,
                chunks=[self._chunk(index * PART + at, text) for at, text in enumerate(part)],
            )

    def _chunk(self, ordinal: int, text: str) -> Chunk:
        return Chunk(
            chunk_id=str(ordinal),
            ordinal=ordinal,
            text=text,
            token_count=self._count(text) + 2,
            sentences=[SentenceSpan(start=0, end=len(text))],
        )


def vectors_of(event: ChunksEmbedded, document: str) -> Vectors:
    """Text -> vector, of that document alone."""
    if event.revision.document_id != document:
        return {}
    return {one.chunk.text: np.frombuffer(one.vector, "<f4") for one in event.chunks}


if __name__ == "__main__":
    main()
