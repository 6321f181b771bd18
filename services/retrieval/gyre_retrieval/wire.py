"""Passages to and from the wire; both doors and the embedding adapter speak it."""

from __future__ import annotations

from gyre.common.v1.chunk_pb2 import Chunk as WireChunk
from gyre.common.v1.chunk_pb2 import SentenceSpan
from gyre.common.v1.document_pb2 import DocumentRevision, DocumentSource

from gyre_retrieval.domain.passage import Chunk, Passage, Source


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
