"""The gRPC door: a caller's texts become vectors at once."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from gyre.embedding.v1 import service_pb2, service_pb2_grpc
from gyre_runtime.rpc import RpcFault

from gyre_embedding.domain.passages import Embedding
from gyre_embedding.domain.vectors import UnusableVector
from gyre_embedding.ports import EmbeddingModel, ModelUnavailable
from gyre_embedding.use_cases import EmbedTexts

MOST_TEXTS = 256
ROLES: Mapping[str, frozenset[str]] = {"Embed": frozenset({"reader", "writer"})}


class EmbeddingService(service_pb2_grpc.EmbeddingServiceServicer):
    """Answers gyre.embedding.v1.EmbeddingService."""

    def __init__(self, embed: EmbedTexts, model: EmbeddingModel) -> None:
        self._embed = embed
        self._model = model

    async def Embed(
        self, request: service_pb2.EmbedRequest, context: object
    ) -> service_pb2.EmbedResponse:
        texts = _checked(list(request.texts))
        try:
            made = await self._embed(texts)
        except ModelUnavailable as error:
            raise RpcFault(grpc.StatusCode.UNAVAILABLE, str(error), retry_after=1.0) from error
        except UnusableVector as error:
            raise RpcFault(grpc.StatusCode.DATA_LOSS, f"the embedding model: {error}") from error
        return service_pb2.EmbedResponse(
            embeddings=map(_message, made),
            embedder=self._model.name,
            dimension=self._model.dimension,
        )


def _checked(texts: list[str]) -> list[str]:
    if not 1 <= len(texts) <= MOST_TEXTS:
        raise _invalid({"texts": f"1 to {MOST_TEXTS} texts are needed, got {len(texts)}"})
    empty = [place for place, text in enumerate(texts) if not text.strip()]
    if empty:
        raise _invalid({f"texts[{place}]": "is empty" for place in empty})
    return texts


def _invalid(violations: Mapping[str, str]) -> RpcFault:
    return RpcFault(
        grpc.StatusCode.INVALID_ARGUMENT, "the texts cannot be embedded", violations=violations
    )


def _message(made: Embedding) -> service_pb2.Embedding:
    return service_pb2.Embedding(
        vector=made.vector, token_count=made.token_count, truncated=made.truncated
    )
