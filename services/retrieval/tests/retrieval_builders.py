"""Small parts, passages and vectors for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from gyre_retrieval.domain.identity import DocumentKey, Version
from gyre_retrieval.domain.index import Index, index_for
from gyre_retrieval.domain.passage import Chunk, EmbeddedPassage, Part, Passage, Source
from gyre_retrieval.domain.vector import Vector

EMBEDDER = "bag-of-words-1"
DIMENSION = 64
FIRST = Version(1, 1)
HOSTILE = (
    "a' or '1'=='1",
    'x" or scope != "',
    "\\",
    "%|_",
    "*.>",
    "näïve \u202e\u0000 \n\r\t",
    "{tenant}",
    "); drop",
    "😀" * 30,
)


def vector_of(text: str) -> Vector:
    """Words thrown into DIMENSION bins; texts that share words are near each other."""
    bins = np.full(DIMENSION, 1e-3, dtype=np.float32)
    for word in text.lower().split():
        bins[int(hashlib.md5(word.encode()).hexdigest(), 16) % DIMENSION] += 1.0
    return (bins / np.linalg.norm(bins)).astype(np.float32)


def key(document_id: str, tenant: str = "acme", collection: str = "default") -> DocumentKey:
    return DocumentKey(tenant, collection, document_id)


def index(collection: str = "default") -> Index:
    return index_for(collection, EMBEDDER, DIMENSION)


def passage(
    document: DocumentKey,
    text: str,
    *,
    version: Version = FIRST,
    ordinal: int = 0,
    language: str = "en",
    metadata: Mapping[str, str] | None = None,
    chunk_id: str | None = None,
) -> EmbeddedPassage:
    source = Source(f"file:///{document.document_id}", "", "text/plain", language, metadata or {})
    identity = chunk_id or f"{document.document_id}-{version.revision}-{ordinal}"
    spans = ((0, len(text)),)
    chunk = Chunk(identity, ordinal, text, (), 0, spans, len(text.split()) + 2, 0, len(text))
    revision_id = f"r{version.revision}"
    kept = Passage(document, version, revision_id, source, chunk)
    return EmbeddedPassage(kept, vector_of(text))


def part(
    document: DocumentKey,
    texts: Sequence[str],
    *,
    revision: int = 1,
    attempt: int = 1,
    part_index: int = 0,
    part_count: int = 1,
    embedder: str = EMBEDDER,
    language: str = "en",
    metadata: Mapping[str, str] | None = None,
) -> Part:
    version = Version(revision, attempt)
    passages = tuple(
        passage(
            document,
            text,
            version=version,
            ordinal=part_index * 100 + place,
            language=language,
            metadata=metadata,
        )
        for place, text in enumerate(texts)
    )
    return Part(
        document, version, f"r{revision}", part_index, part_count, embedder, DIMENSION, passages
    )
