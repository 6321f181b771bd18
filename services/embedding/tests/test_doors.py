"""The two doors, over the real gRPC server and the real handler."""

from __future__ import annotations

from datetime import UTC, datetime

import grpc
import numpy as np
import pytest
from gyre.common.v1.chunk_pb2 import Chunk
from gyre.embedding.v1 import service_pb2
from gyre.embedding.v1.events_pb2 import ChunksEmbedded, ChunksNotEmbedded
from gyre.embedding.v1.service_pb2_grpc import EmbeddingServiceStub
from gyre.ingestion.v1.events_pb2 import DocumentChunked
from gyre_embedding.adapters.memory import MemoryEmbeddingModel
from gyre_embedding.app import build
from gyre_embedding.domain.vectors import UnusableVector
from gyre_embedding.handlers import listeners
from gyre_embedding.settings import Settings
from gyre_embedding.use_cases.embedding import EmbedPassages
from gyre_runtime.bus import Bus, Delivery, Envelope
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink

KEY = (("authorization", "Bearer gyre-dev-key"),)


@pytest.fixture
async def stub():
    settings = Settings(grpc_address="127.0.0.1:0", metrics_port=0)
    bus = Bus(settings, "embedding", link=MemoryLink(MemoryExchange()))
    model = MemoryEmbeddingModel(others=("new",))
    service = build(settings, bus=bus, model=model, models=model)
    await service.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.rpc.port}") as channel:
        yield EmbeddingServiceStub(channel)
    await service.stop()


async def test_embed_gives_a_unit_vector_per_text(stub):
    request = service_pb2.EmbedRequest(texts=["roaming costs", "router set-up"])
    reply = await stub.Embed(request, metadata=KEY, timeout=50)
    vectors = [np.frombuffer(one.vector, dtype="<f4") for one in reply.embeddings]
    assert [vector.shape for vector in vectors] == [(reply.dimension,)] * 2
    assert all(abs(np.linalg.norm(vector) - 1) < 1e-5 for vector in vectors)


@pytest.mark.parametrize("texts", [[], [""], ["fine", "  "], ["x"] * 257])
async def test_texts_that_cannot_be_embedded_are_an_invalid_argument(stub, texts):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Embed(service_pb2.EmbedRequest(texts=texts), metadata=KEY, timeout=50)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_model_that_is_named_embeds_and_is_named_in_the_answer(stub):
    request = service_pb2.EmbedRequest(texts=["roaming costs"], model="new", bulk=True)
    reply = await stub.Embed(request, metadata=KEY, timeout=50)
    assert (reply.embedder, len(reply.embeddings[0].vector)) == ("new", 4 * reply.dimension)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("missing", grpc.StatusCode.FAILED_PRECONDITION),
        ("../etc", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_a_model_that_cannot_be_used_is_refused(stub, model, code):
    request = service_pb2.EmbedRequest(texts=["roaming costs"], model=model)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Embed(request, metadata=KEY, timeout=50)
    assert refused.value.code() is code


async def test_nobody_without_a_key_gets_in(stub):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Embed(service_pb2.EmbedRequest(texts=["hello"]), timeout=50)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


class Sick(MemoryEmbeddingModel):
    """Makes NaN of everything."""

    async def embed(self, texts, *, urgent):
        raise UnusableVector("a vector holds NaN or infinity")


def cut() -> DocumentChunked:
    return DocumentChunked(
        part_index=1,
        part_count=3,
        attempt=2,
        chunks=[Chunk(chunk_id=f"c{n}", text=f"text {n}", token_count=4) for n in range(5)],
    )


def delivery(attempt: int) -> Delivery:
    envelope = Envelope("e1", "", "", datetime.now(UTC), "d1", "acme", "e1", "")
    return Delivery(envelope, attempt)


async def heard(model, attempt):
    """What is said after one delivery of a cut part."""
    said = []

    async def say(event, about):
        said.append(event)

    embed = EmbedPassages(model, batch_size=2, in_flight=2)
    door = listeners(embed, model, say, attempts=4, concurrency=1)
    async with embed.running():
        await door.subscriptions[0].handler(cut(), delivery(attempt=attempt))
    return said


async def test_a_cut_part_becomes_the_same_part_with_vectors():
    [event] = await heard(MemoryEmbeddingModel(), attempt=1)
    assert isinstance(event, ChunksEmbedded)
    assert (event.part_index, event.part_count, event.attempt) == (1, 3, 2)
    assert [one.chunk for one in event.chunks] == list(cut().chunks)
    assert all(len(one.vector) == 4 * event.dimension for one in event.chunks)


async def test_unusable_vectors_are_tried_again_and_then_told():
    with pytest.raises(UnusableVector):
        await heard(Sick(), attempt=1)
    [event] = await heard(Sick(), attempt=4)
    assert isinstance(event, ChunksNotEmbedded)
    assert (event.part_index, event.attempt, event.detail) == (
        1,
        2,
        "a vector holds NaN or infinity",
    )
