"""Passages as rows and back."""

from __future__ import annotations

from typing import Any

import orjson

from gyre_retrieval.adapters.milvus.filters import (
    chunk_mark,
    document_mark,
    labels_field,
    primary_key,
)
from gyre_retrieval.adapters.milvus.schema import LARGEST_LABELS, LARGEST_TEXT
from gyre_retrieval.domain.errors import PartRefused
from gyre_retrieval.domain.identity import DocumentKey, Version, scope_of, version_key
from gyre_retrieval.domain.passage import Chunk, EmbeddedPassage, Passage, Source
from gyre_retrieval.domain.terms import passage_terms


def row_of(embedded: EmbeddedPassage) -> dict[str, Any]:
    """Raises `PartRefused` where the passage is larger than a field of Milvus."""
    passage = embedded.passage
    document = passage.document
    payload = orjson.dumps(_payload(passage))
    labels = labels_field(passage.source)
    if len(payload) > LARGEST_TEXT or len(labels) > LARGEST_LABELS:
        sizes = f"{len(payload)} bytes and {len(passage.source.metadata)} metadata"
        raise PartRefused("chunk_too_large", f"a chunk with its source has {sizes}")
    return {
        "id": primary_key(passage),
        "scope": scope_of(document.tenant, document.collection),
        "document": document_mark(document.document_id),
        "version": version_key(document, passage.version),
        "chunk": chunk_mark(passage.chunk.chunk_id),
        "labels": labels,
        "payload": payload.decode(),
        "terms": _terms(passage),
        "dense": embedded.vector,
    }


def passage_of(payload: str) -> Passage:
    kept = orjson.loads(payload)
    return Passage(
        document=DocumentKey(*kept["document"]),
        version=Version(*kept["version"]),
        revision_id=kept["revision_id"],
        source=Source(*kept["source"]),
        chunk=_chunk(*kept["chunk"]),
    )


def _chunk(
    chunk_id: str,
    ordinal: int,
    text: str,
    heading_path: list[str],
    page: int,
    sentences: list[list[int]],
    *counts: int,
) -> Chunk:
    spans = tuple((start, end) for start, end in sentences)
    return Chunk(chunk_id, ordinal, text, tuple(heading_path), page, spans, *counts)


def _payload(passage: Passage) -> dict[str, Any]:
    document, version = passage.document, passage.version
    source, chunk = passage.source, passage.chunk
    return {
        "document": (document.tenant, document.collection, document.document_id),
        "version": (version.revision, version.attempt),
        "revision_id": passage.revision_id,
        "source": (
            source.source_uri,
            source.title,
            source.media_type,
            source.language,
            dict(source.metadata),
        ),
        "chunk": (
            chunk.chunk_id,
            chunk.ordinal,
            chunk.text,
            chunk.heading_path,
            chunk.page,
            chunk.sentences,
            chunk.token_count,
            chunk.start_offset,
            chunk.end_offset,
        ),
    }


def _terms(passage: Passage) -> str:
    joined = " ".join(passage_terms(passage))
    return joined.encode()[:LARGEST_TEXT].decode(errors="ignore")
