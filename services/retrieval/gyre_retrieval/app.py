"""The only place where everything meets."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

from gyre.retrieval.v1.service_pb2_grpc import (
    add_IndexServiceServicer_to_server,
    add_RetrievalServiceServicer_to_server,
)
from gyre_runtime.bus import Bus
from gyre_runtime.database import Database
from gyre_runtime.process import Service
from gyre_runtime.rpc import RpcServer
from gyre_runtime.telemetry import gauge, logger

from gyre_retrieval.adapters.catalogue import DatabaseCatalogue
from gyre_retrieval.adapters.embedding import ServicePassageEmbedder, ServiceQueryEmbedder
from gyre_retrieval.adapters.helpfulness import DatabaseHelpfulness
from gyre_retrieval.adapters.milvus import IndexSettings, MilvusVectorIndex
from gyre_retrieval.adapters.reindexes import DatabaseReindexes
from gyre_retrieval.adapters.tables import MIGRATIONS, metadata
from gyre_retrieval.domain.query import Route
from gyre_retrieval.domain.ranking import Fusion
from gyre_retrieval.doors import indexes as doors
from gyre_retrieval.doors.indexes import IndexServicer
from gyre_retrieval.handlers import listeners, trained_listeners
from gyre_retrieval.ports import Embedder, PassageEmbedder, QueryEmbedder, VectorIndex
from gyre_retrieval.rpc import DESCRIPTOR, ROLES, RetrievalServicer
from gyre_retrieval.settings import Settings
from gyre_retrieval.use_cases.collections import BrowseCollections
from gyre_retrieval.use_cases.comparing import CompareJudged, CompareLive
from gyre_retrieval.use_cases.following import Follow
from gyre_retrieval.use_cases.indexing import IndexDocuments
from gyre_retrieval.use_cases.reindexing import ManageReindexes, Pace, Reindexer
from gyre_retrieval.use_cases.searching import SearchPassages, Signal
from gyre_retrieval.use_cases.sweeping import Sweeper
from gyre_retrieval.use_cases.trained import FollowTraining, HearOfTraining

NAME = "retrieval"
STRANGERS = gauge(
    "retrieval_strange_indexes",
    "Collections in Milvus that this catalogue never knew: another owner's, or a lost catalogue's.",
)


def build(
    settings: Settings,
    *,
    index: VectorIndex | None = None,
    embedder: Embedder | None = None,
    database: Database | None = None,
    bus: Bus | None = None,
) -> Service:
    """The service; what is not given is the real thing. embedder: for queries and passages."""
    database = database or Database(_url(settings), metadata, migrations=MIGRATIONS)
    bus = bus or Bus(settings, NAME, database=database)
    index = index or _milvus(settings)
    embedders = _embedders(settings, embedder)
    catalogue, helpfulness = DatabaseCatalogue(database), DatabaseHelpfulness(database)
    sweeper = Sweeper(catalogue, index, pause=settings.sweep_pause, failed=_failed("sweep_failed"))
    signal = _signal(helpfulness, settings)
    aside = SearchPassages(catalogue, index, embedders.aside, _fusion(settings), signal)
    indexes = _indexes(settings, DatabaseReindexes(database), index, embedders, aside, sweeper)
    compare = indexes.compare(helpfulness, settings.reindex_compare_share)
    documents = IndexDocuments(
        catalogue,
        index,
        embedders.passages,
        sweep=sweeper.call,
    )
    bus.include(listeners(documents, helpfulness, parts_at_once=settings.parts_at_once))
    hear = HearOfTraining(
        catalogue,
        indexes.reindexes,
        tenants=settings.reindex_tenants,
        called=indexes.training.call,
    )
    bus.include(trained_listeners(hear, followed=settings.reindex_trained))
    search = SearchPassages(
        catalogue, index, embedders.queries, _fusion(settings), signal, watch=compare.watch
    )
    return Service(
        settings,
        NAME,
        bus=bus,
        rpc=_rpc(settings, search, BrowseCollections(catalogue, index), indexes),
        database=database,
        background=[
            sweeper.run,
            indexes.reindexer.run,
            indexes.training.run,
            compare.look,
            compare.run,
        ],
        resources=_opened(index, *embedders, catalogue),
    )


class _Embedders(NamedTuple):
    """queries: as the caller; aside: the same, as this service."""

    queries: QueryEmbedder
    aside: QueryEmbedder
    passages: PassageEmbedder


class _Indexes(NamedTuple):
    """What indexes beside the one in use need."""

    reindexes: DatabaseReindexes
    manage: ManageReindexes
    reindexer: Reindexer
    training: FollowTraining
    aside: SearchPassages

    def compare(self, helpfulness: DatabaseHelpfulness, share: float) -> CompareLive:
        failed = _failed("comparison_failed")
        return CompareLive(self.reindexes, helpfulness, self.aside, share=share, failed=failed)


def _indexes(
    settings: Settings,
    reindexes: DatabaseReindexes,
    index: VectorIndex,
    embedders: _Embedders,
    aside: SearchPassages,
    sweeper: Sweeper,
) -> _Indexes:
    follow = Follow(reindexes, index, embedders.passages, passages=settings.reindex_passages)
    pace = Pace(
        settings.reindex_share,
        settings.reindex_pause,
        settings.reindex_lease,
        settings.reconcile_pause,
    )
    reindexer = Reindexer(
        reindexes,
        index,
        follow,
        pace,
        sweep=sweeper.call,
        failed=_failed("reindex_failed"),
        strangers=STRANGERS.set,
    )
    manage = ManageReindexes(
        reindexes,
        index,
        embedders.passages,
        follow,
        keep=settings.reindex_keep,
        moved=reindexer.moved,
    )
    training = FollowTraining(
        reindexes,
        manage,
        pause=settings.reindex_pause,
        moved=reindexer.moved,
        failed=_failed("training_not_followed"),
    )
    return _Indexes(reindexes, manage, reindexer, training, aside)


def _rpc(
    settings: Settings, search: SearchPassages, collections: BrowseCollections, indexes: _Indexes
) -> RpcServer:
    rpc = RpcServer(settings, service=NAME)
    retrieval = RetrievalServicer(search, collections)
    rpc.add(add_RetrievalServiceServicer_to_server, retrieval, DESCRIPTOR, roles=ROLES)
    servicer = IndexServicer(
        indexes.manage, CompareJudged(indexes.reindexes, indexes.aside), settings.reindex_tenants
    )
    rpc.add(add_IndexServiceServicer_to_server, servicer, doors.DESCRIPTOR, roles=doors.ROLES)
    return rpc


def _embedders(settings: Settings, given: Embedder | None) -> _Embedders:
    if given is not None:
        return _Embedders(given, given, given)
    address, timeout = settings.embedding_address, settings.embedding_timeout
    key = settings.embedding_key
    return _Embedders(
        ServiceQueryEmbedder(address, settings, timeout=timeout),
        ServiceQueryEmbedder(address, settings, timeout=timeout, key=key),
        ServicePassageEmbedder(address, settings, key=key, timeout=settings.embedding_bulk_timeout),
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


def _failed(event: str) -> Callable[[Exception], None]:
    def told(error: Exception) -> None:
        logger("gyre.retrieval").warning(event, error=repr(error))

    return told
