"""The composition root: the models, the stories and the two doors."""

from __future__ import annotations

from collections.abc import Callable

from gyre.embedding.v1 import service_pb2
from gyre.embedding.v1.service_pb2_grpc import add_EmbeddingServiceServicer_to_server
from gyre_runtime.bus import Bus
from gyre_runtime.process import Service
from gyre_runtime.rpc import RpcServer, channel
from gyre_runtime.telemetry import logger

from gyre_embedding.adapters.repository import FolderShelf
from gyre_embedding.adapters.triton import TritonEmbeddingModel, TritonEmbeddingModels
from gyre_embedding.adapters.triton_control import TritonModelServer
from gyre_embedding.handlers import listeners, says, tells, trained_listeners
from gyre_embedding.ports import EmbeddingModel, EmbeddingModels, ModelServer, Shelf
from gyre_embedding.rpc import ROLES, EmbeddingService
from gyre_embedding.settings import Settings
from gyre_embedding.use_cases.embedding import EmbedPassages, EmbedTexts
from gyre_embedding.use_cases.trained import KeepLoaded, ServeTrained

_log = logger("gyre.embedding")


def build(
    settings: Settings,
    *,
    bus: Bus | None = None,
    model: EmbeddingModel | None = None,
    models: EmbeddingModels | None = None,
    shelf: Shelf | None = None,
    server: ModelServer | None = None,
) -> Service:
    """The service, ready to run; what is given replaces the real thing."""
    bus = bus or Bus(settings, "embedding")
    triton = TritonEmbeddingModels(
        channel(settings.triton_address, settings), settings.embedding_timeout
    )
    if model is None:
        model, models = _model(triton, settings), models or triton
    shelf, server = shelf or _shelf(settings), server or _server(triton, settings)
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
    serve = ServeTrained(shelf, server, models or triton)
    bus.include(trained_listeners(serve, tells(bus), _served(settings)))
    keep = KeepLoaded(shelf, server, pause=settings.reconcile_poll, failed=_failed)
    rpc = RpcServer(settings, service="embedding")
    rpc.add(
        add_EmbeddingServiceServicer_to_server,
        EmbeddingService(texts),
        service_pb2.DESCRIPTOR.services_by_name["EmbeddingService"],
        roles=ROLES,
    )
    return Service(
        settings,
        "embedding",
        bus=bus,
        rpc=rpc,
        background=[keep.run],
        resources=[passages.running()],
    )


def _model(triton: TritonEmbeddingModels, settings: Settings) -> TritonEmbeddingModel:
    return TritonEmbeddingModel(
        channel=triton.channel,
        name=settings.embedding_model,
        query_name=settings.embedding_query_model,
        dimension=settings.embedding_dimension,
        timeout=settings.embedding_timeout,
    )


def _shelf(settings: Settings) -> FolderShelf:
    return FolderShelf(
        settings.materialise_embedder_command,
        settings.models,
        settings.triton_repository,
        seconds=settings.materialise_embedder_timeout,
    )


def _server(triton: TritonEmbeddingModels, settings: Settings) -> TritonModelServer:
    key = settings.triton_admin_key.get_secret_value()
    return TritonModelServer(triton.channel, admin_key=key)


def _served(settings: Settings) -> Callable[[str], bool]:
    def served(tenant: str) -> bool:
        tenants = settings.reindex_tenants
        return settings.embedders_trained and (not tenants or tenant in tenants)

    return served


def _failed(error: Exception) -> None:
    _log.warning("embedders_not_loaded", error=repr(error))
