"""The embedding model on Triton, over the Open Inference Protocol."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as triton
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub
from tritonclient.utils import serialize_byte_tensor

from gyre_embedding.domain.passages import Embedding
from gyre_embedding.domain.vectors import checked
from gyre_embedding.ports import ModelUnavailable, ModelUnknown

QUERIES = "-query"
LOOK_AGAIN_S = 30.0


@dataclass(frozen=True)
class TritonEmbeddingModel:
    """Calls the bulk model, or its twin for queries so that these wait behind no batch."""

    channel: grpc.aio.Channel
    name: str
    query_name: str
    dimension: int
    timeout: float

    async def embed(self, texts: Sequence[str], *, urgent: bool) -> list[Embedding]:
        """See EmbeddingModel."""
        model = self.query_name if urgent else self.name
        try:
            reply = await _infer(self.channel, model, texts, self.timeout)
        except grpc.aio.AioRpcError as error:
            raise ModelUnavailable(_explained(model, error)) from error
        return _embeddings(reply, len(texts), self.dimension)


@dataclass(frozen=True)
class TritonEmbeddingModels:
    """Whatever Triton has loaded, by name."""

    channel: grpc.aio.Channel
    timeout: float
    _named: dict[str, NamedTritonModel] = field(default_factory=dict)

    def named(self, name: str) -> NamedTritonModel:
        """See EmbeddingModels."""
        return self._named.setdefault(name, NamedTritonModel(self.channel, name, self.timeout))


@dataclass
class NamedTritonModel:
    """A model that a caller names. Queries go to `<name>-query` where that is loaded too."""

    channel: grpc.aio.Channel
    name: str
    timeout: float
    dimension: int = 0
    _alone_until: float = 0.0

    async def embed(self, texts: Sequence[str], *, urgent: bool) -> list[Embedding]:
        """See EmbeddingModel."""
        if urgent and time.monotonic() >= self._alone_until:
            try:
                return await self._embed(self.name + QUERIES, texts)
            except ModelUnknown:
                self._alone_until = time.monotonic() + LOOK_AGAIN_S
        return await self._embed(self.name, texts)

    async def _embed(self, model: str, texts: Sequence[str]) -> list[Embedding]:
        try:
            reply = await _infer(self.channel, model, texts, self.timeout)
        except grpc.aio.AioRpcError as error:
            if _is_unknown(error):
                raise ModelUnknown(f"no embedding model {model!r} is loaded") from error
            raise ModelUnavailable(_explained(model, error)) from error
        if "embedding" not in _raw(reply):
            raise ModelUnknown(f"{model!r} is no embedding model")
        self.dimension = len(_raw(reply)["embedding"]) // 4 // len(texts)
        return _embeddings(reply, len(texts), self.dimension)


async def _infer(
    channel: grpc.aio.Channel, model: str, texts: Sequence[str], timeout: float
) -> triton.ModelInferResponse:
    stub = GRPCInferenceServiceStub(channel)
    reply: triton.ModelInferResponse = await stub.ModelInfer(
        _request(model, texts), timeout=timeout
    )
    return reply


def _is_unknown(error: grpc.aio.AioRpcError) -> bool:
    """INVALID_ARGUMENT: the model takes no texts. Of one that was unloaded Triton says that it has
    no available versions, with UNAVAILABLE as for a server that is away."""
    if error.code() in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT}:
        return True
    return "unknown model" in (error.details() or "")


def _request(model: str, texts: Sequence[str]) -> triton.ModelInferRequest:
    tensor = np.array([[text.encode()] for text in texts], dtype=object)
    return triton.ModelInferRequest(
        model_name=model,
        inputs=[
            triton.ModelInferRequest.InferInputTensor(
                name="text", datatype="BYTES", shape=tensor.shape
            )
        ],
        raw_input_contents=[serialize_byte_tensor(tensor).item()],
    )


def _embeddings(reply: triton.ModelInferResponse, rows: int, dimension: int) -> list[Embedding]:
    raw = _raw(reply)
    vectors = np.frombuffer(raw["embedding"], dtype="<f4")
    usable = checked(vectors.reshape(-1, dimension), rows, dimension)
    counts = np.frombuffer(raw["token_count"], dtype="<i4").tolist()
    truncated = np.frombuffer(raw["truncated"], dtype=np.bool_).tolist()
    return [
        Embedding(vector.tobytes(), count, cut)
        for vector, count, cut in zip(usable, counts, truncated, strict=True)
    ]


def _raw(reply: triton.ModelInferResponse) -> dict[str, bytes]:
    return {
        output.name: content
        for output, content in zip(reply.outputs, reply.raw_output_contents, strict=True)
    }


def _explained(model: str, error: grpc.aio.AioRpcError) -> str:
    return (
        f"the model server does not embed with {model!r} now "
        f"({error.code().name}: {error.details()}); is Triton up and the model loaded?"
    )
