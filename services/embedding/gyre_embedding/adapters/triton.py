"""The embedding model on Triton, over the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as triton
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub
from tritonclient.utils import serialize_byte_tensor

from gyre_embedding.domain.passages import Embedding
from gyre_embedding.domain.vectors import checked
from gyre_embedding.ports import ModelUnavailable


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
        request = _request(self.query_name if urgent else self.name, texts)
        try:
            reply = await GRPCInferenceServiceStub(self.channel).ModelInfer(
                request, timeout=self.timeout
            )
        except grpc.aio.AioRpcError as error:
            raise ModelUnavailable(_explained(request.model_name, error)) from error
        return _embeddings(reply, len(texts), self.dimension)


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
    raw = {
        output.name: content
        for output, content in zip(reply.outputs, reply.raw_output_contents, strict=True)
    }
    vectors = np.frombuffer(raw["embedding"], dtype="<f4")
    usable = checked(vectors.reshape(-1, dimension), rows, dimension)
    counts = np.frombuffer(raw["token_count"], dtype="<i4").tolist()
    truncated = np.frombuffer(raw["truncated"], dtype=np.bool_).tolist()
    return [
        Embedding(vector.tobytes(), count, cut)
        for vector, count, cut in zip(usable, counts, truncated, strict=True)
    ]


def _explained(model: str, error: grpc.aio.AioRpcError) -> str:
    return (
        f"the model server does not embed with {model!r} now "
        f"({error.code().name}: {error.details()}); is Triton up and the model loaded?"
    )
