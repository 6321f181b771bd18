"""Meaning of sentences from the embedding service."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import grpc
import numpy as np
from gyre.embedding.v1 import service_pb2, service_pb2_grpc
from numpy.typing import NDArray

from gyre_inference.adapters.calls import Patience, fault_of
from gyre_inference.adapters.connection import Connection


def embedding_service(
    open_channel: Callable[[], grpc.aio.Channel],
) -> Connection[service_pb2_grpc.EmbeddingServiceAsyncStub]:
    """A connection to the service, not yet open."""
    return Connection(open_channel, service_pb2_grpc.EmbeddingServiceStub)


class EmbeddingSentenceVectors:
    """Question and sentences in one call; the vectors come in unit length."""

    def __init__(
        self, service: Connection[service_pb2_grpc.EmbeddingServiceAsyncStub], timeout: float
    ) -> None:
        """timeout: longest wait in seconds, where the caller's deadline is further away."""
        self._service = service
        self._timeout = timeout

    async def similarities(self, question: str, lines: Sequence[str]) -> list[float]:
        """See `SentenceVectors`."""
        vectors = await self._embedded([question, *lines])
        cosines: list[float] = (vectors[1:] @ vectors[0]).tolist()
        return cosines

    async def vectors(self, texts: Sequence[str]) -> list[list[float]]:
        """See `SentenceVectors`."""
        found: list[list[float]] = (await self._embedded(texts)).tolist()
        return found

    async def _embedded(self, texts: Sequence[str]) -> NDArray[np.float32]:
        request = service_pb2.EmbedRequest(texts=texts)
        patience = Patience(self._timeout)
        try:
            reply = await self._service.stub.Embed(request, timeout=patience.seconds)
        except grpc.aio.AioRpcError as error:
            raise fault_of(error, "embedding", "question", patience) from error
        return np.stack([np.frombuffer(one.vector, "<f4") for one in reply.embeddings])
