"""The adapter against a model server that speaks the protocol and holds no model."""

from __future__ import annotations

import grpc
import numpy as np
import pytest
from gyre_embedding.adapters.triton import TritonEmbeddingModels
from gyre_embedding.ports import ModelUnavailable, ModelUnknown
from tritonclient.grpc import service_pb2 as triton
from tritonclient.grpc import service_pb2_grpc as triton_grpc

DIMENSION = 8


class Server(triton_grpc.GRPCInferenceServiceServicer):
    """Answers for the models in `loaded`; refusal: what it says of the others."""

    def __init__(self) -> None:
        self.loaded = {"small", "big", "big-query"}
        self.refusal = (grpc.StatusCode.NOT_FOUND, "Request for unknown model: it is not found")
        self.asked: list[str] = []

    async def ModelInfer(self, request, context):  # noqa: N802
        self.asked.append(request.model_name)
        if request.model_name not in self.loaded:
            await context.abort(*self.refusal)
        rows = request.inputs[0].shape[0]
        vectors = np.eye(DIMENSION, dtype="<f4")[:rows]
        contents = {
            "embedding": vectors.tobytes(),
            "token_count": np.full(rows, 3, dtype="<i4").tobytes(),
            "truncated": np.zeros(rows, dtype=np.bool_).tobytes(),
        }
        return triton.ModelInferResponse(
            outputs=[triton.ModelInferResponse.InferOutputTensor(name=name) for name in contents],
            raw_output_contents=list(contents.values()),
        )


@pytest.fixture
async def server():
    servicer, running = Server(), grpc.aio.server()
    triton_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, running)
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        servicer.models = TritonEmbeddingModels(channel, timeout=5.0)
        yield servicer
    await running.stop(None)


async def test_a_named_model_tells_its_dimension(server):
    model = server.models.named("small")
    made = await model.embed(["one", "two"], urgent=False)
    assert (len(made), model.dimension, made[0].token_count) == (2, DIMENSION, 3)


async def test_queries_go_to_the_twin_where_it_is_loaded(server):
    for name in ("big", "small", "small"):
        await server.models.named(name).embed(["one"], urgent=True)
    assert server.asked == ["big-query", "small-query", "small", "small"]


async def test_bulk_work_never_goes_to_the_twin(server):
    await server.models.named("big").embed(["one"], urgent=False)
    assert server.asked == ["big"]


@pytest.mark.parametrize(
    "refusal",
    [
        (grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'x' is not found"),
        (
            grpc.StatusCode.UNAVAILABLE,
            "Request for unknown model: 'x' has no available versions",
        ),
        (grpc.StatusCode.INVALID_ARGUMENT, "unexpected inference input 'text'"),
    ],
)
async def test_a_model_that_is_not_loaded_is_unknown(server, refusal):
    server.refusal = refusal
    with pytest.raises(ModelUnknown, match="missing"):
        await server.models.named("missing").embed(["one"], urgent=True)


async def test_a_server_that_is_busy_is_unavailable(server):
    server.refusal = (grpc.StatusCode.UNAVAILABLE, "exceeds maximum queue size")
    with pytest.raises(ModelUnavailable):
        await server.models.named("missing").embed(["one"], urgent=False)
