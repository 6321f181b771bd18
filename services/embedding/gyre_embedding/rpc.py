"""The gRPC door: a caller's texts become vectors at once."""

from __future__ import annotations

import re
from collections.abc import Mapping

import grpc
from gyre.embedding.v1 import service_pb2, service_pb2_grpc
from gyre_runtime.rpc import RpcFault

from gyre_embedding.domain.passages import Embedding
from gyre_embedding.domain.vectors import UnusableVector
from gyre_embedding.ports import ModelUnavailable, ModelUnknown
from gyre_embedding.use_cases.embedding import EmbedTexts

MOST_TEXTS = 256
MODEL_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
ROLES: Mapping[str, frozenset[str]] = {"Embed": frozenset({"reader", "writer"})}


class EmbeddingService(service_pb2_grpc.EmbeddingServiceServicer):
    """Answers gyre.embedding.v1.EmbeddingService."""

    def __init__(self, embed: EmbedTexts) -> None:
        self._embed = embed

    async def Embed(
        self, request: service_pb2.EmbedRequest, context: object
    ) -> service_pb2.EmbedResponse:
        texts = _checked(list(request.texts), request.model)
        try:
            made = await self._embed(texts, model=request.model, bulk=request.bulk)
        except ModelUnknown as error:
            raise RpcFault(grpc.StatusCode.FAILED_PRECONDITION, str(error)) from error
        except ModelUnavailable as error:
            raise RpcFault(grpc.StatusCode.UNAVAILABLE, str(error), retry_after=1.0) from error
        except UnusableVector as error:
            raise RpcFault(grpc.StatusCode.DATA_LOSS, f"the embedding model: {error}") from error
        return service_pb2.EmbedResponse(
            embeddings=map(_message, made.embeddings),
            embedder=made.model,
            dimension=made.dimension,
        )


def _checked(texts: list[str], model: str) -> list[str]:
    if model and not MODEL_NAME.fullmatch(model):
        raise _invalid({"model": "a name is 1 to 128 of a-z, A-Z, 0-9, '.', '_' and '-'"})
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
