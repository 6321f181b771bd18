"""The composition root: the model, the two stories and the two doors."""

from __future__ import annotations

from gyre.embedding.v1 import service_pb2
from gyre.embedding.v1.service_pb2_grpc import add_EmbeddingServiceServicer_to_server
from gyre_runtime.bus import Bus
from gyre_runtime.process import Service
from gyre_runtime.rpc import RpcServer, channel

from gyre_embedding.adapters.triton import TritonEmbeddingModel, TritonEmbeddingModels
from gyre_embedding.handlers import listeners, says
from gyre_embedding.ports import EmbeddingModel, EmbeddingModels
from gyre_embedding.rpc import ROLES, EmbeddingService
from gyre_embedding.settings import Settings
from gyre_embedding.use_cases import EmbedPassages, EmbedTexts


def build(
    settings: Settings,
    *,
    bus: Bus | None = None,
    model: EmbeddingModel | None = None,
    models: EmbeddingModels | None = None,
) -> Service:
    """The service, ready to run; what is given replaces the real thing."""
    bus = bus or Bus(settings, "embedding")
    if model is None:
        triton = TritonEmbeddingModels(
            channel(settings.triton_address, settings), settings.embedding_timeout
        )
        model, models = _model(triton, settings), models or triton
    passages = EmbedPassages(model, settings.embedding_batch_size, settings.embedding_in_flight)
    texts = EmbedTexts(
        model, settings.embedding_batch_size, settings.embedding_urgent_texts, models
    )
    bus.include(
        listeners(
            passages,
            model,
            says(bus),
            attempts=settings.embedding_attempts,
            concurrency=settings.handler_concurrency,
        )
    )
    rpc = RpcServer(settings, service="embedding")
    rpc.add(
        add_EmbeddingServiceServicer_to_server,
        EmbeddingService(texts),
        service_pb2.DESCRIPTOR.services_by_name["EmbeddingService"],
        roles=ROLES,
    )
    return Service(settings, "embedding", bus=bus, rpc=rpc, resources=[passages.running()])


def _model(triton: TritonEmbeddingModels, settings: Settings) -> TritonEmbeddingModel:
    return TritonEmbeddingModel(
        channel=triton.channel,
        name=settings.embedding_model,
        query_name=settings.embedding_query_model,
        dimension=settings.embedding_dimension,
        timeout=settings.embedding_timeout,
    )
