"""What is said of indexes, as messages."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp
from gyre.retrieval.v1.events_pb2 import IndexAborted, IndexBuilt, IndexSwitched

from gyre_retrieval.domain.reindex import Reindex
from gyre_retrieval.wire import index_to, time_to


def built(reindex: Reindex, documents: int, chunks: int, now: float) -> IndexBuilt:
    return IndexBuilt(
        reindex_id=reindex.reindex_id,
        collection=reindex.collection,
        index=index_to(reindex.index),
        document_count=documents,
        chunk_count=chunks,
        build_time=time_to(now),
        previous=index_to(reindex.previous),
        gated=reindex.gated,
        model=reindex.model,
    )


def switched(reindex: Reindex, back: bool, now: float) -> IndexSwitched:
    """As it is after the switch."""
    keep: Timestamp | None = time_to(reindex.keep_until) if reindex.keep_until else None
    return IndexSwitched(
        reindex_id=reindex.reindex_id,
        collection=reindex.collection,
        index=index_to(reindex.in_use),
        previous=index_to(reindex.follower),
        back=back,
        switch_time=time_to(now),
        keep_until_time=keep,
        model=reindex.model,
    )


def aborted(reindex: Reindex, reason: str, now: float, *, needed: bool) -> IndexAborted:
    """needed: its embedder, by another index."""
    return IndexAborted(
        reindex_id=reindex.reindex_id,
        collection=reindex.collection,
        index=index_to(reindex.index),
        reason=reason,
        abort_time=time_to(now),
        model=reindex.model,
        embedder_needed=needed,
    )
