"""The only place where everything meets."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from gyre.retrieval.v1.service_pb2_grpc import add_RetrievalServiceServicer_to_server
from gyre_runtime.bus import Bus
from gyre_runtime.database import Database
from gyre_runtime.process import Service
from gyre_runtime.rpc import RpcServer
from gyre_runtime.telemetry import logger

from gyre_retrieval.adapters.catalogue import DatabaseCatalogue
from gyre_retrieval.adapters.embedding import ServiceQueryEmbedder
from gyre_retrieval.adapters.helpfulness import DatabaseHelpfulness
from gyre_retrieval.adapters.milvus import IndexSettings, MilvusVectorIndex
from gyre_retrieval.adapters.tables import MIGRATIONS, metadata
from gyre_retrieval.domain.query import Route
from gyre_retrieval.domain.ranking import Fusion
from gyre_retrieval.handlers import listeners
from gyre_retrieval.ports import QueryEmbedder, VectorIndex
from gyre_retrieval.rpc import DESCRIPTOR, ROLES, RetrievalServicer
from gyre_retrieval.settings import Settings
from gyre_retrieval.use_cases.collections import BrowseCollections
from gyre_retrieval.use_cases.indexing import IndexDocuments
from gyre_retrieval.use_cases.searching import SearchPassages, Signal
from gyre_retrieval.use_cases.sweeping import Sweeper

NAME = "retrieval"


def build(
    settings: Settings,
    *,
    index: VectorIndex | None = None,
    embedder: QueryEmbedder | None = None,
    database: Database | None = None,
    bus: Bus | None = None,
) -> Service:
    """The service; what is not given is the real thing."""
    database = database or Database(_url(settings), metadata, migrations=MIGRATIONS)
    bus = bus or Bus(settings, NAME, database=database)
    index = index or _milvus(settings)
    embedder = embedder or ServiceQueryEmbedder(
        settings.embedding_address, settings, timeout=settings.embedding_timeout
    )
    catalogue = DatabaseCatalogue(database)
    sweeper = Sweeper(catalogue, index, pause=settings.sweep_pause, failed=_sweep_failed)
    documents = IndexDocuments(catalogue, index, sweep=sweeper.call)
    helpfulness = DatabaseHelpfulness(database)
    bus.include(listeners(documents, helpfulness, parts_at_once=settings.parts_at_once))
    rpc = RpcServer(settings, service=NAME)
    servicer = RetrievalServicer(
        SearchPassages(
            catalogue, index, embedder, _fusion(settings), _signal(helpfulness, settings)
        ),
        BrowseCollections(catalogue, index),
    )
    rpc.add(add_RetrievalServiceServicer_to_server, servicer, DESCRIPTOR, roles=ROLES)
    return Service(
        settings,
        NAME,
        bus=bus,
        rpc=rpc,
        database=database,
        background=[sweeper.run],
        resources=_opened(index, embedder, catalogue),
    )


def _url(settings: Settings) -> str:
    if settings.database_url is None:
        raise ValueError("set GYRE_DATABASE_URL: the catalogue must be kept")
    return settings.database_url


def _milvus(settings: Settings) -> MilvusVectorIndex:
    return MilvusVectorIndex(
        settings.milvus_url,
        token=settings.milvus_token.get_secret_value(),
        timeout=settings.milvus_timeout,
        write_timeout=settings.milvus_write_timeout,
        window=settings.milvus_gather_window,
        settings=IndexSettings(settings.dense_index, settings.bm25_k1, settings.bm25_b),
    )


def _fusion(settings: Settings) -> Fusion:
    weights = {
        Route.DENSE: settings.fusion_dense_weight,
        Route.LEXICAL: settings.fusion_lexical_weight,
    }
    return Fusion(settings.fusion_method, weights, settings.fusion_depth, settings.fusion_k)


def _signal(helpfulness: DatabaseHelpfulness, settings: Settings) -> Signal | None:
    """Off, it costs nothing."""
    return Signal(helpfulness, settings.feedback_weight) if settings.feedback_weight else None


def _opened(*adapters: object) -> list[AbstractAsyncContextManager[Any]]:
    return [one for one in adapters if isinstance(one, AbstractAsyncContextManager)]


def _sweep_failed(error: Exception) -> None:
    logger("gyre.retrieval").warning("sweep_failed", error=repr(error))
