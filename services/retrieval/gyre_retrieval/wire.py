"""Passages to and from the wire, indexes to it; the doors and the adapters speak it."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp
from gyre.common.v1.chunk_pb2 import Chunk as WireChunk
from gyre.common.v1.chunk_pb2 import SentenceSpan
from gyre.common.v1.document_pb2 import DocumentRevision, DocumentSource
from gyre.retrieval.v1 import reindex_pb2, service_pb2

from gyre_retrieval.domain.comparison import DEPTH
from gyre_retrieval.domain.index import Index
from gyre_retrieval.domain.passage import Chunk, Passage, Source
from gyre_retrieval.domain.query import Mode
from gyre_retrieval.domain.reindex import (
    Interval,
    JudgedComparison,
    Latency,
    LiveComparison,
    Reindex,
    ReindexState,
    Shown,
)

MODES = {
    service_pb2.SEARCH_MODE_UNSPECIFIED: Mode.HYBRID,
    service_pb2.SEARCH_MODE_DENSE: Mode.DENSE,
    service_pb2.SEARCH_MODE_LEXICAL: Mode.LEXICAL,
    service_pb2.SEARCH_MODE_HYBRID: Mode.HYBRID,
}
STATES = {
    ReindexState.FILLING: reindex_pb2.REINDEX_STATE_FILLING,
    ReindexState.READY: reindex_pb2.REINDEX_STATE_READY,
    ReindexState.SWITCHED: reindex_pb2.REINDEX_STATE_SWITCHED,
    ReindexState.ENDED: reindex_pb2.REINDEX_STATE_ENDED,
    ReindexState.ABORTED: reindex_pb2.REINDEX_STATE_ABORTED,
}


def chunk_from(wire: WireChunk) -> Chunk:
    return Chunk(
        chunk_id=wire.chunk_id,
        ordinal=wire.ordinal,
        text=wire.text,
        heading_path=tuple(wire.heading_path),
        page=wire.page,
        sentences=tuple((span.start, span.end) for span in wire.sentences),
        token_count=wire.token_count,
        start_offset=wire.start_offset,
        end_offset=wire.end_offset,
    )


def source_from(wire: DocumentSource) -> Source:
    return Source(
        source_uri=wire.source_uri,
        title=wire.title,
        media_type=wire.media_type,
        language=wire.language,
        metadata=dict(wire.metadata),
    )


def chunk_to(chunk: Chunk) -> WireChunk:
    return WireChunk(
        chunk_id=chunk.chunk_id,
        ordinal=chunk.ordinal,
        text=chunk.text,
        heading_path=chunk.heading_path,
        page=chunk.page,
        sentences=[SentenceSpan(start=start, end=end) for start, end in chunk.sentences],
        token_count=chunk.token_count,
        start_offset=chunk.start_offset,
        end_offset=chunk.end_offset,
    )


def source_to(source: Source) -> DocumentSource:
    return DocumentSource(
        source_uri=source.source_uri,
        title=source.title,
        media_type=source.media_type,
        language=source.language,
        metadata=source.metadata,
    )


def revision_to(passage: Passage) -> DocumentRevision:
    return DocumentRevision(
        document_id=passage.document.document_id,
        revision_id=passage.revision_id,
        revision=passage.version.revision,
        collection=passage.document.collection,
    )


def index_to(index: Index) -> reindex_pb2.IndexVersion:
    return reindex_pb2.IndexVersion(
        name=index.name, embedder=index.embedder, dimension=index.dimension
    )


def time_to(seconds: float) -> Timestamp:
    """Seconds since 1970."""
    stamp = Timestamp()
    stamp.FromNanoseconds(int(seconds * 1e9))
    return stamp


def reindex_to(reindex: Reindex) -> reindex_pb2.Reindex:
    """Without progress and comparisons."""
    return reindex_pb2.Reindex(
        reindex_id=reindex.reindex_id,
        collection=reindex.collection,
        state=STATES[reindex.state],
        index=index_to(reindex.index),
        previous=index_to(reindex.previous),
        detail=reindex.detail,
        principal=reindex.principal,
        reason=reindex.reason,
        start_time=time_to(reindex.start_time),
        build_time=_time_or_none(reindex.build_time),
        switch_time=_time_or_none(reindex.switch_time),
        keep_until_time=_time_or_none(reindex.keep_until),
        end_time=_time_or_none(reindex.end_time),
        gated=reindex.gated,
        model=reindex.model,
        gate_id=reindex.gate.gate_id,
    )


def shown_to(shown: Shown) -> reindex_pb2.Reindex:
    message, progress = reindex_to(shown.reindex), shown.progress
    message.documents_done = progress.documents_done
    message.documents_total = progress.documents_total
    message.chunks_done = progress.chunks_done
    message.chunks_total = progress.chunks_total
    if shown.live is not None:
        message.live.CopyFrom(_live_to(shown.live))
    if shown.judged is not None:
        message.judged.CopyFrom(judged_to(shown.judged))
    return message


def judged_to(judged: JudgedComparison) -> reindex_pb2.JudgedComparison:
    mrr = [_interval_to(one) for one in judged.mrr]
    recall = [_interval_to(one) for one in judged.recall]
    return reindex_pb2.JudgedComparison(
        queries=judged.queries,
        mrr_in_use=mrr[0],
        mrr_other=mrr[1],
        mrr_difference=mrr[2],
        recall_in_use=recall[0],
        recall_other=recall[1],
        recall_difference=recall[2],
        latency_in_use=_latency_to(judged.latency[0]),
        latency_other=_latency_to(judged.latency[1]),
        compare_time=time_to(judged.compare_time),
    )


def _live_to(live: LiveComparison) -> reindex_pb2.LiveComparison:
    helpful = [_interval_to(one) for one in live.helpfulness] if live.helpfulness else [None] * 3
    return reindex_pb2.LiveComparison(
        searches=live.searches,
        depth=DEPTH,
        overlap=_interval_to(live.overlap),
        correlation=_interval_to(live.correlation) if live.correlation else None,
        latency_in_use=_latency_to(live.latency[0]),
        latency_other=_latency_to(live.latency[1]),
        judged_searches=live.judged_searches,
        helpfulness_in_use=helpful[0],
        helpfulness_other=helpful[1],
        helpfulness_difference=helpful[2],
    )


def _interval_to(interval: Interval) -> reindex_pb2.Interval:
    return reindex_pb2.Interval(mean=interval.mean, low=interval.low, high=interval.high)


def _latency_to(latency: Latency) -> reindex_pb2.Latency:
    return reindex_pb2.Latency(median_seconds=latency.median, p95_seconds=latency.p95)


def _time_or_none(seconds: float | None) -> Timestamp | None:
    return None if seconds is None else time_to(seconds)
