"""Queries embedded by the embedding service, with the caller's credential and deadline."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import grpc
from gyre.embedding.v1 import service_pb2 as wire
from gyre.embedding.v1.service_pb2_grpc import EmbeddingServiceStub
from gyre_runtime.rpc import channel
from gyre_runtime.settings import RuntimeSettings

from gyre_retrieval.domain.errors import PartRefused
from gyre_retrieval.domain.vector import vector_from
from gyre_retrieval.ports import Embedded, EmbedderRefused, EmbedderUnavailable

REFUSALS = frozenset({grpc.StatusCode.INVALID_ARGUMENT})


class ServiceQueryEmbedder:
    """`QueryEmbedder` over EmbeddingService.Embed.

    timeout: seconds, less where the caller has less. Opened in the event loop that calls it.
    """

    def __init__(self, address: str, settings: RuntimeSettings, *, timeout: float) -> None:
        self._address = address
        self._settings = settings
        self._timeout = timeout

    async def __aenter__(self) -> Self:
        self._channel = channel(self._address, self._settings)
        self._stub = EmbeddingServiceStub(self._channel)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._channel.close()

    async def embed(self, text: str) -> Embedded:
        try:
            reply = await self._stub.Embed(wire.EmbedRequest(texts=[text]), timeout=self._timeout)
        except grpc.aio.AioRpcError as error:
            if error.code() in REFUSALS:
                raise EmbedderRefused(error.details() or "the query cannot be embedded") from error
            raise EmbedderUnavailable(f"{error.code().name}: {error.details()}") from error
        return _embedded(reply)


def _embedded(reply: wire.EmbedResponse) -> Embedded:
    if len(reply.embeddings) != 1:
        raise EmbedderUnavailable(f"one text was sent, {len(reply.embeddings)} vectors came back")
    try:
        vector = vector_from(reply.embeddings[0].vector, reply.dimension)
    except PartRefused as error:
        raise EmbedderUnavailable(f"the query's vector is not valid: {error}") from error
    return Embedded(vector, reply.embedder)
