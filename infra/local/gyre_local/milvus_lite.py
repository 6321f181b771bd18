"""Milvus Lite's server with BM25 counted over the whole collection, as Milvus itself counts.

Milvus Lite 3.2 scores each segment by the segment's own statistics (a TODO in its
`Collection._search_sparse`). Segments are cut by the moments of flushes, so the same documents,
indexed twice, were ranked in two ways. SIGTERM ends it as cleanly as SIGINT does.

    python -m gyre_local.milvus_lite server --data-dir=... --host=... --port=...
"""

from __future__ import annotations

import copy
import signal
from collections import Counter
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from milvus_lite.analyzer.sparse import bytes_to_sparse
from milvus_lite.cmdline import main
from milvus_lite.engine.collection import Collection
from milvus_lite.index import sparse_factory
from milvus_lite.index.sparse_inverted import SparseInvertedIndex

_search_collection = Collection._search_sparse
_search_segment = SparseInvertedIndex.search


@dataclass
class Statistics:
    """Of passages: how many, their length in words together, and how many hold each word."""

    passages: int = 0
    words: float = 0.0
    holding: Counter[int] = field(default_factory=Counter)

    def add(self, index: SparseInvertedIndex, asked: Iterable[int]) -> None:
        """Counts one segment in. asked: words, as hashes."""
        self.passages += index.doc_count
        self.words += index.avgdl * index.doc_count
        self.holding.update({word: index._df.get(word, 0) for word in asked})


_statistics: ContextVar[Statistics | None] = ContextVar("statistics", default=None)


def search_collection(self: Collection, **search: Any) -> Any:
    """`Collection._search_sparse`, which finds the statistics of all segments."""
    if search["metric_type"] != "BM25":
        return _search_collection(self, **search)
    statistics = _count(self, search["query_vectors"], search["vector_field"])
    token = _statistics.set(statistics)
    try:
        return _search_collection(self, **search)
    finally:
        _statistics.reset(token)


def search_segment(
    self: SparseInvertedIndex, queries: list[dict[int, float]], top_k: int, valid_mask: Any = None
) -> Any:
    """`SparseInvertedIndex.search` by the collection's statistics."""
    known = _statistics.get()
    if known is None or not known.passages or not self.doc_count:
        return _search_segment(self, queries, top_k, valid_mask=valid_mask)
    seen = copy.copy(self)
    seen.doc_count, seen.avgdl = known.passages, known.words / known.passages
    seen._df = known.holding
    return _search_segment(seen, queries, top_k, valid_mask=valid_mask)


def _count(collection: Collection, queries: list[Any], vector_field: str) -> Statistics:
    """Of what is flushed; the service flushes all before it says that it is indexed."""
    prepared = collection._prepare_sparse_queries(queries, vector_field)
    asked = {word for query in prepared for word in query}
    statistics = Statistics()
    segments, _ = collection._read_snapshot()
    for segment in segments:
        statistics.add(_index_of(collection, segment, vector_field), asked)
    return statistics


def _index_of(collection: Collection, segment: Any, vector_field: str) -> SparseInvertedIndex:
    spec = collection._index_specs.get(vector_field)
    params = spec.build_params if spec else {}
    index = segment.sparse_indexes.get(vector_field)
    if not sparse_factory.sparse_index_matches(index, "BM25", params):
        rows = segment.table.column(vector_field).to_pylist()
        index = sparse_factory.create_sparse_index("BM25", params)
        index.build([bytes_to_sparse(row) if isinstance(row, bytes) else row or {} for row in rows])
        segment.sparse_indexes[vector_field] = index
    return index


if __name__ == "__main__":
    Collection._search_sparse = search_collection
    SparseInvertedIndex.search = search_segment
    # It ends cleanly on SIGINT alone, which what a background job of a shell starts never hears.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    raise SystemExit(main())
