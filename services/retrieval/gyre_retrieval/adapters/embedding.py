"""Texts embedded by the embedding service: queries as their caller, passages as this service."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import grpc
from gyre.embedding.v1 import service_pb2 as wire
from gyre.embedding.v1.service_pb2_grpc import EmbeddingServiceStub
from gyre_runtime.rpc import channel
from gyre_runtime.settings import RuntimeSettings
from pydantic import SecretStr

from gyre_retrieval.domain.errors import PartRefused
from gyre_retrieval.domain.vector import Vector, vector_from
from gyre_retrieval.ports import Embedded, EmbedderRefused, EmbedderUnavailable, EmbedderUnknown

AT_ONCE = 32

Metadata = tuple[tuple[str, str], ...]


class ServiceEmbedder:
    """A channel to the embedding service. Opened in the event loop that calls it."""

    def __init__(self, address: str, settings: RuntimeSettings) -> None:
        self._address = address
        self._settings = settings

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

    async def _embedded(
        self,
        request: wire.EmbedRequest,
        timeout: float,
        metadata: Metadata,
    ) -> tuple[str, list[Vector]]:
        try:
            reply = await self._stub.Embed(request, timeout=timeout, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise _failure(error) from error
        return reply.embedder, _vectors(reply, len(request.texts))


class ServiceQueryEmbedder(ServiceEmbedder):
    """`QueryEmbedder` over EmbeddingService.Embed, with the caller's credential and deadline.

    timeout: seconds, less where the caller has less. key: instead of the caller's credential, for
    searches that nobody waits for.
    """

    def __init__(
        self,
        address: str,
        settings: RuntimeSettings,
        *,
        timeout: float,
        key: SecretStr | None = None,
    ) -> None:
        super().__init__(address, settings)
        self._metadata = _credential(key) if key is not None else ()
        self._timeout = timeout

    async def embed(self, text: str, embedder: str) -> Embedded:
        request = wire.EmbedRequest(texts=[text], model=embedder)
        name, vectors = await self._embedded(request, self._timeout, self._metadata)
        return Embedded(vectors[0], name)


class ServicePassageEmbedder(ServiceEmbedder):
    """`PassageEmbedder` over EmbeddingService.Embed, with a key of this service.

    timeout: seconds for one call of at most 32 passages.
    """

    def __init__(
        self, address: str, settings: RuntimeSettings, *, key: SecretStr, timeout: float
    ) -> None:
        super().__init__(address, settings)
        self._metadata = _credential(key)
        self._timeout = timeout

    async def embed_passages(self, texts: Sequence[str], embedder: str) -> list[Vector]:
        made: list[Vector] = []
        for start in range(0, len(texts), AT_ONCE):
            some = texts[start : start + AT_ONCE]
            request = wire.EmbedRequest(texts=some, model=embedder, bulk=True)
            name, vectors = await self._embedded(request, self._timeout, self._metadata)
            if name != embedder:
                raise EmbedderUnknown(f"{embedder} was asked for, {name} answered")
            made += vectors
        return made


def _credential(key: SecretStr) -> Metadata:
    return (("authorization", f"Bearer {key.get_secret_value()}"),)


def _failure(error: grpc.aio.AioRpcError) -> Exception:
    detail = error.details() or "it cannot be embedded"
    if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
        return EmbedderRefused(detail)
    if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
        return EmbedderUnknown(detail)
    return EmbedderUnavailable(f"{error.code().name}: {detail}")


def _vectors(reply: wire.EmbedResponse, count: int) -> list[Vector]:
    if len(reply.embeddings) != count:
        told = f"{count} texts were sent, {len(reply.embeddings)} vectors came back"
        raise EmbedderUnavailable(told)
    try:
        return [vector_from(one.vector, reply.dimension) for one in reply.embeddings]
    except PartRefused as error:
        raise EmbedderUnavailable(f"a vector is not valid: {error}") from error
