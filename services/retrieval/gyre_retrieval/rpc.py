"""The gRPC door: one method, one call, one reply."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from gyre.retrieval.v1 import service_pb2 as wire
from gyre.retrieval.v1 import service_pb2_grpc
from gyre_runtime.identity import current_principal
from gyre_runtime.rpc import RpcFault

from gyre_retrieval.domain.errors import (
    ChunkUnknown,
    CollectionUnknown,
    EmbedderMismatch,
    IndexUnknown,
    QueryInvalid,
)
from gyre_retrieval.domain.index import CollectionSummary
from gyre_retrieval.domain.query import (
    DEFAULT_COLLECTION,
    Answer,
    Conditions,
    Hit,
    Query,
)
from gyre_retrieval.ports import (
    EmbedderRefused,
    EmbedderUnavailable,
    EmbedderUnknown,
    IndexMissing,
    IndexUnavailable,
)
from gyre_retrieval.use_cases.collections import BrowseCollections
from gyre_retrieval.use_cases.searching import SearchPassages
from gyre_retrieval.wire import MODES, chunk_to, revision_to, source_to

DESCRIPTOR = wire.DESCRIPTOR.services_by_name["RetrievalService"]
READERS = frozenset({"reader", "writer", "operator"})
ROLES = {
    "Search": READERS,
    "CreateCollection": frozenset({"writer", "operator"}),
    "ListCollections": READERS,
    "GetChunk": READERS,
}
DEFAULT_TOP_K = 10
RETRY_AFTER = 1.0

Context = grpc.aio.ServicerContext[Any, Any]


class RetrievalServicer(service_pb2_grpc.RetrievalServiceServicer):
    """Tenant from the credential, never from a field."""

    def __init__(self, search: SearchPassages, collections: BrowseCollections) -> None:
        self._search = search
        self._collections = collections

    async def Search(self, request: wire.SearchRequest, context: Context) -> wire.SearchResponse:
        with _faults():
            query = _query(request, _tenant())
            if request.index:
                answer = await self._search.search_named(query, request.index)
            else:
                answer = await self._search.search(query)
        return _response(answer)

    async def CreateCollection(
        self, request: wire.CreateCollectionRequest, context: Context
    ) -> wire.CreateCollectionResponse:
        with _faults():
            made = await self._collections.make(_tenant(), request.collection)
        return wire.CreateCollectionResponse(collection=_collection(made))

    async def ListCollections(
        self, request: wire.ListCollectionsRequest, context: Context
    ) -> wire.ListCollectionsResponse:
        summaries = await self._collections.list(_tenant())
        return wire.ListCollectionsResponse(collections=map(_collection, summaries))

    async def GetChunk(
        self, request: wire.GetChunkRequest, context: Context
    ) -> wire.GetChunkResponse:
        collection = request.collection or DEFAULT_COLLECTION
        with _faults():
            passage = await self._collections.chunk(_tenant(), collection, request.chunk_id)
        return wire.GetChunkResponse(
            chunk=chunk_to(passage.chunk),
            revision=revision_to(passage),
            source=source_to(passage.source),
        )


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except QueryInvalid as error:
        raise RpcFault(
            grpc.StatusCode.INVALID_ARGUMENT,
            "the request is not valid",
            violations=error.violations,
        ) from error
    except CollectionUnknown as error:
        raise RpcFault(
            grpc.StatusCode.NOT_FOUND,
            f"there is no collection '{error}': upload a document to it or call CreateCollection",
        ) from error
    except IndexUnknown as error:
        raise RpcFault(
            grpc.StatusCode.NOT_FOUND,
            f"this collection has no filled index '{error}': `gyre index list` names them",
        ) from error
    except ChunkUnknown as error:
        raise RpcFault(
            grpc.StatusCode.NOT_FOUND, "no passage of that id is in force in this collection"
        ) from error
    except (EmbedderMismatch, EmbedderUnknown) as error:
        raise RpcFault(grpc.StatusCode.FAILED_PRECONDITION, str(error)) from error
    except EmbedderRefused as error:
        raise RpcFault(
            grpc.StatusCode.INVALID_ARGUMENT, str(error), violations={"query": str(error)}
        ) from error
    except IndexMissing as error:
        raise RpcFault(
            grpc.StatusCode.FAILED_PRECONDITION,
            "the vector database lost the collection's index: process its documents again",
        ) from error
    except (IndexUnavailable, EmbedderUnavailable) as error:
        what = "vector database" if isinstance(error, IndexUnavailable) else "embedding service"
        raise RpcFault(
            grpc.StatusCode.UNAVAILABLE,
            f"the {what} does not answer: try again",
            retry_after=RETRY_AFTER,
        ) from error


def _tenant() -> str:
    return current_principal().tenant


def _query(request: wire.SearchRequest, tenant: str) -> Query:
    if request.mode not in MODES:
        raise QueryInvalid({"mode": "give DENSE, LEXICAL or HYBRID"})
    conditions = Conditions(
        tenant,
        request.collection or DEFAULT_COLLECTION,
        frozenset(request.filter.document_ids),
        frozenset(request.filter.languages),
        dict(request.filter.metadata),
    )
    top_k = request.top_k or DEFAULT_TOP_K
    return Query(request.query, MODES[request.mode], top_k, conditions, request.minimum_score)


def _response(answer: Answer) -> wire.SearchResponse:
    return wire.SearchResponse(
        hits=map(_hit, answer.hits),
        index_version=answer.index_version,
        embed_duration=_duration(answer.embed_seconds),
        index_duration=_duration(answer.index_seconds),
    )


def _hit(hit: Hit) -> wire.Hit:
    return wire.Hit(
        chunk=chunk_to(hit.passage.chunk),
        revision=revision_to(hit.passage),
        source=source_to(hit.passage.source),
        score=hit.score,
        routes={
            str(route): wire.RouteScore(score=one.score, rank=one.rank)
            for route, one in hit.routes.items()
        },
    )


def _collection(summary: CollectionSummary) -> wire.Collection:
    return wire.Collection(
        name=summary.name,
        document_count=summary.document_count,
        chunk_count=summary.chunk_count,
        embedder=summary.index.embedder if summary.index else "",
        index_version=summary.index.name if summary.index else "",
    )


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(int(seconds * 1e9))
    return duration
