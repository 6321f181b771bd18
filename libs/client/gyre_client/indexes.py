"""Indexes for other embedders: fill one, compare it, switch to it and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from google.protobuf.timestamp_pb2 import Timestamp
from gyre.retrieval.v1 import reindex_pb2, service_pb2
from gyre.retrieval.v1.service_pb2_grpc import IndexServiceStub

from gyre_client.channels import CallOptions, Channels
from gyre_client.errors import raising
from gyre_client.settings import ClientSettings

if TYPE_CHECKING:  # the asynchronous stub is a type alone
    from gyre.retrieval.v1.service_pb2_grpc import IndexServiceAsyncStub

STREAM_TIMEOUT = 3600.0


@dataclass(frozen=True)
class IndexVersion:
    """A physical index."""

    name: str
    embedder: str
    dimension: int

    @classmethod
    def read(cls, message: reindex_pb2.IndexVersion) -> IndexVersion:
        return cls(message.name, message.embedder, message.dimension)


@dataclass(frozen=True)
class Interval:
    """A mean with the ends of its 95 % interval; None where there are under two values."""

    mean: float
    low: float | None
    high: float | None

    @classmethod
    def read(cls, message: reindex_pb2.Interval) -> Interval:
        low = message.low if message.HasField("low") else None
        high = message.high if message.HasField("high") else None
        return cls(message.mean, low, high)


@dataclass(frozen=True)
class Compared:
    """A metric by the index in use and the other one. difference: other minus in use; None where
    only the two are known."""

    in_use: Interval
    other: Interval
    difference: Interval | None = None


@dataclass(frozen=True)
class Latencies:
    """Seconds of a search."""

    in_use_median: float
    in_use_p95: float
    other_median: float
    other_p95: float

    @classmethod
    def read(cls, message: reindex_pb2.LiveComparison | reindex_pb2.JudgedComparison) -> Latencies:
        ours, theirs = message.latency_in_use, message.latency_other
        return cls(ours.median_seconds, ours.p95_seconds, theirs.median_seconds, theirs.p95_seconds)


@dataclass(frozen=True)
class LiveComparison:
    """What live searches say. helpfulness: None where people judged nothing that was found."""

    searches: int
    depth: int
    overlap: Interval
    correlation: Interval | None
    latencies: Latencies
    judged_searches: int
    helpfulness: Compared | None

    @classmethod
    def read(cls, message: reindex_pb2.LiveComparison) -> LiveComparison:
        return cls(
            searches=message.searches,
            depth=message.depth,
            overlap=Interval.read(message.overlap),
            correlation=(
                Interval.read(message.correlation) if message.HasField("correlation") else None
            ),
            latencies=Latencies.read(message),
            judged_searches=message.judged_searches,
            helpfulness=_compared(message, "helpfulness") if message.judged_searches else None,
        )


@dataclass(frozen=True)
class JudgedComparison:
    """What given judgements say: MRR@10 and recall@10."""

    queries: int
    mrr: Compared
    recall: Compared
    latencies: Latencies
    time: datetime

    @classmethod
    def read(cls, message: reindex_pb2.JudgedComparison) -> JudgedComparison:
        return cls(
            queries=message.queries,
            mrr=_compared(message, "mrr"),
            recall=_compared(message, "recall"),
            latencies=Latencies.read(message),
            time=_time(message.compare_time),
        )


@dataclass(frozen=True)
class Reindex:
    """How an index for another embedder came to be. state: `filling`, `ready`, `switched`,
    `ended` or `aborted`. gated: a gate decides over the switch. model: `NAME/VERSION` of a trained
    one. gate_id: empty until it decided."""

    reindex_id: str
    collection: str
    state: str
    index: IndexVersion
    previous: IndexVersion
    documents_done: int
    documents_total: int
    chunks_done: int
    chunks_total: int
    detail: str
    principal: str
    reason: str
    start_time: datetime
    build_time: datetime | None
    switch_time: datetime | None
    keep_until_time: datetime | None
    end_time: datetime | None
    live: LiveComparison | None
    judged: JudgedComparison | None
    gated: bool = False
    model: str = ""
    gate_id: str = ""

    @classmethod
    def read(cls, message: reindex_pb2.Reindex) -> Reindex:
        state = reindex_pb2.ReindexState.Name(message.state)
        has = message.HasField
        return cls(
            reindex_id=message.reindex_id,
            collection=message.collection,
            state=state.removeprefix("REINDEX_STATE_").lower(),
            index=IndexVersion.read(message.index),
            previous=IndexVersion.read(message.previous),
            documents_done=message.documents_done,
            documents_total=message.documents_total,
            chunks_done=message.chunks_done,
            chunks_total=message.chunks_total,
            detail=message.detail,
            principal=message.principal,
            reason=message.reason,
            start_time=_time(message.start_time),
            build_time=_time(message.build_time) if has("build_time") else None,
            switch_time=_time(message.switch_time) if has("switch_time") else None,
            keep_until_time=_time(message.keep_until_time) if has("keep_until_time") else None,
            end_time=_time(message.end_time) if has("end_time") else None,
            live=LiveComparison.read(message.live) if has("live") else None,
            judged=JudgedComparison.read(message.judged) if has("judged") else None,
            gated=message.gated,
            model=message.model,
            gate_id=message.gate_id,
        )


@dataclass(frozen=True)
class JudgedQuery:
    """A query and the ids of the chunks that answer it."""

    query: str
    relevant_chunk_ids: Sequence[str]


class Indexes:
    """Indexes of collections, of all tenants: an operator's. Every method raises GyreError."""

    def __init__(self, channels: Channels, settings: ClientSettings) -> None:
        self._address = settings.retrieval_address
        self._call = CallOptions(metadata=channels.metadata, timeout=settings.timeout)
        self._stream = CallOptions(metadata=channels.metadata, timeout=STREAM_TIMEOUT)
        self._stub: IndexServiceAsyncStub = IndexServiceStub(channels.to(self._address))

    async def start(
        self, collection: str, embedder: str, *, reason: str = "", gated: bool = False
    ) -> Reindex:
        """Begins to fill an index; searches stay where they are. gated: evaluation's gate decides
        over the switch."""
        request = service_pb2.StartReindexRequest(
            collection=collection, embedder=embedder, reason=reason, gated=gated
        )
        with raising(self._address):
            reply = await self._stub.StartReindex(request, **self._call)
        return Reindex.read(reply.reindex)

    async def get(self, reindex_id: str) -> Reindex:
        """With progress and comparisons."""
        request = service_pb2.GetReindexRequest(reindex_id=reindex_id)
        with raising(self._address):
            reply = await self._stub.GetReindex(request, **self._call)
        return Reindex.read(reply.reindex)

    async def list(self, *, collection: str = "") -> AsyncIterator[Reindex]:
        """Newest first, without progress and comparisons."""
        request = service_pb2.ListReindexesRequest(collection=collection, page_size=200)
        while True:
            with raising(self._address):
                reply = await self._stub.ListReindexes(request, **self._call)
            for message in reply.reindexes:
                yield Reindex.read(message)
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def watch(self, reindex_id: str) -> AsyncIterator[Reindex]:
        """At every change, until it is filled or given up."""
        request = service_pb2.WatchReindexRequest(reindex_id=reindex_id)
        with raising(self._address):
            async for reply in self._stub.WatchReindex(request, **self._stream):
                yield Reindex.read(reply.reindex)

    async def compare(
        self,
        reindex_id: str,
        queries: Iterable[JudgedQuery],
        *,
        mode: Literal["hybrid", "dense", "lexical"] = "hybrid",
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> JudgedComparison:
        """Asks both indexes; progress: called with what is done and all."""
        request = service_pb2.CompareIndexesRequest(
            reindex_id=reindex_id,
            mode=service_pb2.SearchMode.Value(f"SEARCH_MODE_{mode.upper()}"),
            queries=[
                reindex_pb2.JudgedQuery(query=one.query, relevant_chunk_ids=one.relevant_chunk_ids)
                for one in queries
            ],
        )
        reply = service_pb2.CompareIndexesResponse()
        with raising(self._address):
            async for reply in self._stub.CompareIndexes(request, **self._stream):
                progress(reply.queries_done, reply.queries_total)
        return JudgedComparison.read(reply.comparison)

    async def switch(self, reindex_id: str, *, back: bool = False) -> Reindex:
        """May be repeated."""
        request = service_pb2.SwitchIndexRequest(reindex_id=reindex_id, back=back)
        with raising(self._address):
            reply = await self._stub.SwitchIndex(request, **self._call)
        return Reindex.read(reply.reindex)

    async def abort(self, reindex_id: str, *, reason: str = "") -> Reindex:
        """May be repeated."""
        request = service_pb2.AbortReindexRequest(reindex_id=reindex_id, reason=reason)
        with raising(self._address):
            reply = await self._stub.AbortReindex(request, **self._call)
        return Reindex.read(reply.reindex)


def _compared(message: Any, metric: str) -> Compared:
    names = (f"{metric}_in_use", f"{metric}_other", f"{metric}_difference")
    return Compared(*(Interval.read(getattr(message, name)) for name in names))


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC).astimezone()
