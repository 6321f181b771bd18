"""Passages from the retrieval service."""

from __future__ import annotations

from collections.abc import Callable

import grpc
from gyre.retrieval.v1 import service_pb2, service_pb2_grpc
from gyre_runtime.telemetry import names, tracer

from gyre_inference.adapters.calls import Patience, fault_of
from gyre_inference.adapters.connection import Connection
from gyre_inference.domain.passages import Found, Passage, SearchFilter


def retrieval_service(
    open_channel: Callable[[], grpc.aio.Channel],
) -> Connection[service_pb2_grpc.RetrievalServiceAsyncStub]:
    """A connection to the service, not yet open."""
    return Connection(open_channel, service_pb2_grpc.RetrievalServiceStub)


class RetrievalPassageSearch:
    """Hybrid search; the channel passes on the caller's credential, deadline and trace."""

    def __init__(
        self, service: Connection[service_pb2_grpc.RetrievalServiceAsyncStub], timeout: float
    ) -> None:
        """timeout: longest wait in seconds, where the caller's deadline is further away."""
        self._service = service
        self._timeout = timeout

    async def search(
        self, question: str, collection: str, condition: SearchFilter, top_k: int
    ) -> Found:
        """See `PassageSearch`."""
        request = service_pb2.SearchRequest(
            collection=collection,
            query=question,
            mode=service_pb2.SEARCH_MODE_HYBRID,
            top_k=top_k,
            filter=_filter(condition),
        )
        patience = Patience(self._timeout)
        attributes = {names.OPERATION_NAME: "retrieval", names.DATA_SOURCE_ID: collection}
        with tracer(__name__).start_as_current_span("retrieval", attributes=attributes):
            try:
                reply = await self._service.stub.Search(request, timeout=patience.seconds)
            except grpc.aio.AioRpcError as error:
                raise fault_of(error, "search", "filter", patience) from error
        hits = tuple(_passage(hit, rank) for rank, hit in enumerate(reply.hits, start=1))
        return Found(hits, reply.index_version)


def _filter(condition: SearchFilter) -> service_pb2.SearchFilter:
    return service_pb2.SearchFilter(
        document_ids=condition.document_ids,
        languages=condition.languages,
        metadata=dict(condition.metadata),
    )


def _passage(hit: service_pb2.Hit, rank: int) -> Passage:
    chunk, source = hit.chunk, hit.source
    return Passage(
        chunk_id=chunk.chunk_id,
        document_id=hit.revision.document_id,
        revision=hit.revision.revision,
        ordinal=chunk.ordinal,
        text=chunk.text,
        spans=tuple((span.start, span.end) for span in chunk.sentences),
        title=source.title,
        source_uri=source.source_uri,
        language=source.language,
        heading_path=tuple(chunk.heading_path),
        page=chunk.page,
        rank=rank,
        score=hit.score,
        dense=hit.routes["dense"].score if "dense" in hit.routes else None,
    )
