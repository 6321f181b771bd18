"""The bus door: a part of a document was cut, so its chunks get their vectors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gyre.embedding.v1.events_pb2 import ChunksEmbedded, ChunksNotEmbedded, EmbeddedChunk
from gyre.ingestion.v1.events_pb2 import DocumentChunked
from gyre_runtime.bus import Bus, Delivery, Listeners

from gyre_embedding.domain.passages import Embedding
from gyre_embedding.domain.vectors import UnusableVector
from gyre_embedding.ports import EmbeddingModel
from gyre_embedding.use_cases import EmbedPassages

Say = Callable[[ChunksEmbedded | ChunksNotEmbedded, Delivery], Awaitable[None]]


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
