"""The gRPC door of indexes: one method, one call, one reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from gyre.retrieval.v1 import service_pb2 as wire
from gyre.retrieval.v1 import service_pb2_grpc
from gyre_runtime.identity import Principal, current_principal
from gyre_runtime.rpc import RpcFault

from gyre_retrieval.domain.errors import CollectionUnknown, EmbedderMismatch, QueryInvalid
from gyre_retrieval.domain.query import DEFAULT_COLLECTION, Mode
from gyre_retrieval.domain.reindex import (
    Judged,
    ReindexRefused,
    ReindexState,
    ReindexUnknown,
    Shown,
)
from gyre_retrieval.ports import (
    EmbedderRefused,
    EmbedderUnavailable,
    EmbedderUnknown,
    IndexMissing,
    IndexUnavailable,
)
from gyre_retrieval.use_cases.comparing import CompareJudged
from gyre_retrieval.use_cases.reindexing import ManageReindexes
from gyre_retrieval.wire import MODES, judged_to, reindex_to, shown_to

DESCRIPTOR = wire.DESCRIPTOR.services_by_name["IndexService"]
READERS = frozenset({"reader", "writer", "operator"})
OPERATORS = frozenset({"operator"})
ROLES = {
    "StartReindex": OPERATORS,
    "GetReindex": READERS,
    "ListReindexes": READERS,
    "WatchReindex": READERS,
    "CompareIndexes": OPERATORS,
    "SwitchIndex": OPERATORS,
    "AbortReindex": OPERATORS,
}
DEFAULT_PAGE, LARGEST_PAGE = 50, 200
LOOK_PAUSE = 0.5
RETRY_AFTER = 1.0

Context = grpc.aio.ServicerContext[Any, Any]


class IndexServicer(service_pb2_grpc.IndexServiceServicer):
    """tenants: those whose operators may change indexes, which all tenants share; empty: all."""

    def __init__(
        self, reindexes: ManageReindexes, compare: CompareJudged, tenants: frozenset[str]
    ) -> None:
        self._reindexes = reindexes
        self._compare = compare
        self._tenants = tenants

    async def StartReindex(
        self, request: wire.StartReindexRequest, context: Context
    ) -> wire.StartReindexResponse:
        caller = self._operator()
        collection = request.collection or DEFAULT_COLLECTION
        with _faults():
            shown = await self._reindexes.start(
                caller.tenant,
                caller.name,
                collection,
                request.embedder,
                request.reason,
                gated=request.gated,
            )
        return wire.StartReindexResponse(reindex=shown_to(shown))

    async def GetReindex(
        self, request: wire.GetReindexRequest, context: Context
    ) -> wire.GetReindexResponse:
        with _faults():
            shown = await self._reindexes.show(request.reindex_id)
        return wire.GetReindexResponse(reindex=shown_to(shown))

    async def ListReindexes(
        self, request: wire.ListReindexesRequest, context: Context
    ) -> wire.ListReindexesResponse:
        size, offset = _page(request)
        found = await self._reindexes.newest(request.collection, size + 1, offset)
        return wire.ListReindexesResponse(
            reindexes=map(reindex_to, found[:size]),
            next_page_token=str(offset + size) if len(found) > size else "",
        )

    async def WatchReindex(
        self, request: wire.WatchReindexRequest, context: Context
    ) -> AsyncIterator[wire.WatchReindexResponse]:
        before: Shown | None = None
        while before is None or before.reindex.state is ReindexState.FILLING:
            with _faults():
                shown = await self._reindexes.show(request.reindex_id)
            if shown != before:
                yield wire.WatchReindexResponse(reindex=shown_to(shown))
                before = shown
            else:
                await asyncio.sleep(LOOK_PAUSE)

    async def CompareIndexes(
        self, request: wire.CompareIndexesRequest, context: Context
    ) -> AsyncIterator[wire.CompareIndexesResponse]:
        caller = self._operator()
        queries = [Judged(one.query, frozenset(one.relevant_chunk_ids)) for one in request.queries]
        total = len(queries)
        with _faults():
            mode = _mode(request)
            async for told in self._compare.compare(
                caller.tenant, request.reindex_id, queries, mode
            ):
                if isinstance(told, int):
                    yield wire.CompareIndexesResponse(queries_done=told, queries_total=total)
                else:
                    yield wire.CompareIndexesResponse(
                        queries_done=total, queries_total=total, comparison=judged_to(told)
                    )

    async def SwitchIndex(
        self, request: wire.SwitchIndexRequest, context: Context
    ) -> wire.SwitchIndexResponse:
        self._operator()
        with _faults():
            shown = await self._reindexes.switch(request.reindex_id, back=request.back)
        return wire.SwitchIndexResponse(reindex=shown_to(shown))

    async def AbortReindex(
        self, request: wire.AbortReindexRequest, context: Context
    ) -> wire.AbortReindexResponse:
        self._operator()
        with _faults():
            shown = await self._reindexes.abort(request.reindex_id, request.reason)
        return wire.AbortReindexResponse(reindex=shown_to(shown))

    def _operator(self) -> Principal:
        caller = current_principal()
        if self._tenants and caller.tenant not in self._tenants:
            raise RpcFault(
                grpc.StatusCode.PERMISSION_DENIED,
                "an index holds the passages of all tenants: only operators of the platform "
                "change it",
            )
        return caller


def _mode(request: wire.CompareIndexesRequest) -> Mode:
    if request.mode not in MODES:
        raise QueryInvalid({"mode": "give DENSE, LEXICAL or HYBRID"})
    return MODES[request.mode]


def _page(request: wire.ListReindexesRequest) -> tuple[int, int]:
    violations = {}
    if not 0 <= request.page_size <= LARGEST_PAGE:
        violations["page_size"] = f"give 1 to {LARGEST_PAGE}, or 0 for {DEFAULT_PAGE}"
    if request.page_token and not request.page_token.isdecimal():
        violations["page_token"] = "give what the answer before said"
    if violations:
        raise RpcFault(
            grpc.StatusCode.INVALID_ARGUMENT, "the request is not valid", violations=violations
        )
    return request.page_size or DEFAULT_PAGE, int(request.page_token or 0)


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
            grpc.StatusCode.NOT_FOUND, f"there is no collection '{error}' with an index"
        ) from error
    except ReindexUnknown as error:
        raise RpcFault(grpc.StatusCode.NOT_FOUND, f"there is no reindexing '{error}'") from error
    except (ReindexRefused, EmbedderMismatch, EmbedderUnknown, EmbedderRefused) as error:
        raise RpcFault(grpc.StatusCode.FAILED_PRECONDITION, str(error)) from error
    except IndexMissing as error:
        raise RpcFault(
            grpc.StatusCode.FAILED_PRECONDITION, "the vector database lost an index"
        ) from error
    except (IndexUnavailable, EmbedderUnavailable) as error:
        raise RpcFault(grpc.StatusCode.UNAVAILABLE, str(error), retry_after=RETRY_AFTER) from error
