"""The bus door: received documents are processed, and the others' news are followed."""

from gyre.embedding.v1.events_pb2 import ChunksEmbedded, ChunksNotEmbedded
from gyre.ingestion.v1.events_pb2 import DocumentReceived
from gyre.retrieval.v1.events_pb2 import DocumentIndexed, DocumentUnindexed
from gyre_runtime.bus import Delivery, Listeners
from gyre_runtime.telemetry import counter

from gyre_ingestion.use_cases.follow import Follow
from gyre_ingestion.use_cases.process import Outcome, Process
from gyre_ingestion.wire import revision_name

_BUDGET = 600.0
_outcomes = counter(
    "ingestion_events", "Events heard, by what became of them", ["event", "outcome"]
)


def listeners(process: Process, follow: Follow, *, workers: int, followers: int) -> Listeners:
    """What the service hears; `workers` documents and `followers` news at once."""
    listeners = Listeners("ingestion")

    async def given_up(event: DocumentReceived, delivery: Delivery, detail: str) -> None:
        name = revision_name(event.revision, event.attempt)
        _count("document_received", await process.give_up(delivery.tenant, name))

    @listeners.on(DocumentReceived, budget=_BUDGET, concurrency=workers, given_up=given_up)
    async def on_document_received(event: DocumentReceived, delivery: Delivery) -> None:
        name = revision_name(event.revision, event.attempt)
        _count("document_received", await process.process(delivery.tenant, name))

    @listeners.on(ChunksEmbedded, concurrency=followers)
    async def on_chunks_embedded(event: ChunksEmbedded, delivery: Delivery) -> None:
        name = revision_name(event.revision, event.attempt)
        done = await follow.embedded(delivery.tenant, name, event.part_index)
        _count("chunks_embedded", done)

    @listeners.on(ChunksNotEmbedded, concurrency=followers)
    async def on_chunks_not_embedded(event: ChunksNotEmbedded, delivery: Delivery) -> None:
        name = revision_name(event.revision, event.attempt)
        _count(
            "chunks_not_embedded", await follow.not_embedded(delivery.tenant, name, event.detail)
        )

    @listeners.on(DocumentIndexed, concurrency=followers)
    async def on_document_indexed(event: DocumentIndexed, delivery: Delivery) -> None:
        name = revision_name(event.revision, event.attempt)
        _count("document_indexed", await follow.indexed(delivery.tenant, name))

    @listeners.on(DocumentUnindexed, concurrency=followers)
    async def on_document_unindexed(event: DocumentUnindexed, delivery: Delivery) -> None:
        name = revision_name(event.revision)
        _count("document_unindexed", await follow.unindexed(delivery.tenant, name))

    return listeners


def _count(event: str, outcome: Outcome) -> None:
    _outcomes.labels(event, outcome.value).inc()
