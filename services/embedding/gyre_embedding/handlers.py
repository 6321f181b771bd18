"""The bus door: chunks that were cut get their vectors, embedders that were trained are served."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from google.protobuf.timestamp_pb2 import Timestamp
from gyre.embedding.v1.events_pb2 import (
    ChunksEmbedded,
    ChunksNotEmbedded,
    EmbeddedChunk,
    EmbedderReady,
)
from gyre.ingestion.v1.events_pb2 import DocumentChunked
from gyre.retraining.v1.events_pb2 import ModelTrained
from gyre.retraining.v1.training_pb2 import MODEL_KIND_EMBEDDING
from gyre.retrieval.v1.events_pb2 import IndexAborted
from gyre_runtime.bus import Bus, Delivery, Listeners, PermanentError

from gyre_embedding.domain.embedders import Ready, Trained
from gyre_embedding.domain.passages import Embedding
from gyre_embedding.domain.vectors import UnusableVector
from gyre_embedding.ports import EmbeddingModel, NotPlaced
from gyre_embedding.use_cases.embedding import EmbedPassages
from gyre_embedding.use_cases.trained import ServeTrained

BRINGING = 2400.0
Say = Callable[[ChunksEmbedded | ChunksNotEmbedded, Delivery], Awaitable[None]]
Tell = Callable[[EmbedderReady, Delivery], Awaitable[None]]
Served = Callable[[str], bool]


def says(bus: Bus) -> Say:
    """Publishes under an id derived from the cut, so that a repeat is the same event: vectors
    differ in their last bits with the batch that they were made in."""

    async def say(event: ChunksEmbedded | ChunksNotEmbedded, delivery: Delivery) -> None:
        await bus.publish(
            event,
            tenant=delivery.tenant,
            entity_id=event.revision.document_id,
            cause=delivery.envelope.event_id,
            name=f"{event.embedder}/{event.part_index}",
        )

    return say


def tells(bus: Bus) -> Tell:
    """As `says`: one training is told once."""

    async def tell(event: EmbedderReady, delivery: Delivery) -> None:
        await bus.publish(
            event,
            tenant=delivery.tenant,
            entity_id=event.training_id,
            cause=delivery.envelope.event_id,
            name=f"ready/{event.embedder}",
        )

    return tell


def listeners(
    embed: EmbedPassages, model: EmbeddingModel, say: Say, *, attempts: int, concurrency: int
) -> Listeners:
    """What the service hears."""
    listeners = Listeners("embedding")

    @listeners.on(DocumentChunked, budget=120.0, concurrency=concurrency)
    async def on_document_chunked(event: DocumentChunked, delivery: Delivery) -> None:
        texts = [chunk.text for chunk in event.chunks]
        lengths = [chunk.token_count for chunk in event.chunks]
        try:
            made = await embed(texts, lengths)
        except UnusableVector as error:
            if delivery.attempt < attempts:
                raise
            await say(_not_embedded(event, model.name, str(error)), delivery)
            return
        await say(_embedded(event, made, model), delivery)

    return listeners


def trained_listeners(serve: ServeTrained, tell: Tell, served: Served) -> Listeners:
    """What the service hears of embedders. served: whether a tenant's trained ones are."""
    listeners = Listeners("embedding")

    @listeners.on(ModelTrained, budget=BRINGING)
    async def on_model_trained(event: ModelTrained, delivery: Delivery) -> None:
        if event.model.kind != MODEL_KIND_EMBEDDING or not served(delivery.tenant):
            return
        try:
            ready = await serve.bring(_trained(event))
        except NotPlaced as error:
            raise PermanentError("not_placed", str(error)) from error
        except UnusableVector as error:
            raise PermanentError("unusable_vectors", str(error)) from error
        await tell(_ready(event, ready), delivery)

    @listeners.on(IndexAborted, budget=120.0)
    async def on_index_aborted(event: IndexAborted, delivery: Delivery) -> None:
        if not event.embedder_needed:
            await serve.withdraw(event.index.embedder)

    return listeners


def _trained(event: ModelTrained) -> Trained:
    model = event.model
    return Trained(model.name, model.version, model.uri, model.content_hash)


def _ready(event: ModelTrained, ready: Ready) -> EmbedderReady:
    now = Timestamp()
    now.GetCurrentTime()
    return EmbedderReady(
        embedder=ready.embedder,
        dimension=ready.dimension,
        model=f"{event.model.name}/{event.model.version}",
        training_id=event.training.training_id or event.model.training_id,
        content_hash=event.model.content_hash,
        ready_time=now,
    )


def _embedded(
    event: DocumentChunked, made: list[Embedding], model: EmbeddingModel
) -> ChunksEmbedded:
    return ChunksEmbedded(
        revision=event.revision,
        source=event.source,
        part_index=event.part_index,
        part_count=event.part_count,
        attempt=event.attempt,
        embedder=model.name,
        dimension=model.dimension,
        chunks=[
            EmbeddedChunk(chunk=chunk, vector=embedding.vector)
            for chunk, embedding in zip(event.chunks, made, strict=True)
        ],
    )


def _not_embedded(event: DocumentChunked, embedder: str, detail: str) -> ChunksNotEmbedded:
    return ChunksNotEmbedded(
        revision=event.revision,
        part_index=event.part_index,
        attempt=event.attempt,
        embedder=embedder,
        detail=detail,
    )
