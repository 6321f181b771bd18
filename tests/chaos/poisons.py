"""Messages that no listener can handle, each with what must become of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from google.protobuf.message import Message
from gyre.common.v1.chunk_pb2 import Chunk
from gyre.common.v1.document_pb2 import DocumentRevision
from gyre.embedding.v1.events_pb2 import (
    ChunksEmbedded,
    ChunksNotEmbedded,
    EmbeddedChunk,
    EmbedderReady,
)
from gyre.ingestion.v1.events_pb2 import DocumentChunked, DocumentDeleted, DocumentReceived
from gyre.retrieval.v1.events_pb2 import DocumentIndexed, DocumentUnindexed, IndexAborted
from gyre_runtime.bus import subject_of

EMBEDDER = "all-minilm-l6-v2"
DIMENSION = 384
PROTOBUF = {"Content-Type": "application/protobuf"}
JSON = {"Content-Type": "application/json"}
HEARD_BY: Mapping[type[Message], tuple[str, ...]] = {
    DocumentReceived: ("ingestion",),
    DocumentChunked: ("embedding", "retraining"),
    DocumentDeleted: ("retrieval", "retraining"),
    ChunksEmbedded: ("ingestion", "retrieval"),
    ChunksNotEmbedded: ("ingestion",),
    EmbedderReady: ("retrieval",),
    DocumentIndexed: ("ingestion",),
    DocumentUnindexed: ("ingestion",),
    IndexAborted: ("embedding",),
}


@dataclass(frozen=True)
class Poison:
    """reasons: listener -> the reason on its dead letter."""

    name: str
    subject: str
    body: bytes
    reasons: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=lambda: PROTOBUF)


def poisons(tenant: str, collection: str) -> list[Poison]:
    """collection: one that has an index of the real embedder."""
    unread = [one for event in HEARD_BY for one in _unreadable(event, tenant)]
    return [*unread, *_unusable(tenant, collection)]


def _unreadable(event: type[Message], tenant: str) -> Iterator[Poison]:
    subject, name = subject_of(event, tenant), event.DESCRIPTOR.full_name
    strange = {"ce-type": f"{name}OfTomorrow"}
    newer = {"ce-type": name.replace(".v1.", ".v2.")}
    deep = b'{"a":' * 5000 + b"1" + b"}" * 5000

    def each(what: str, reason: str, body: bytes, **options: Mapping[str, str]) -> Poison:
        reasons = dict.fromkeys(HEARD_BY[event], reason)
        return Poison(f"{what}, {event.DESCRIPTOR.name}", subject, body, reasons, **options)

    yield each("bad bytes", "bad_body", b"\xff\xff\xff\xff")
    yield each("deep", "bad_body", deep, headers=JSON)
    yield each("unknown type", "unknown_type", b"", headers=PROTOBUF | strange)
    yield each("unknown version", "unknown_version", b"", headers=PROTOBUF | newer)
    yield each("no content type", "bad_content_type", b"{}", headers={})
    yield each("huge", "oversize", b"\x08\x01" * 458_000)
    hostile = subject.removesuffix(tenant) + "a$b;drop"
    yield Poison("tenant", hostile, b"", dict.fromkeys(HEARD_BY[event], "bad_tenant"))


def _unusable(tenant: str, collection: str) -> Iterator[Poison]:
    """Well-formed vectors' events whose content must never reach the index."""
    good = np.zeros(DIMENSION, dtype="<f4")
    good[0] = 1
    spoiled = {
        "vector_not_finite": good + math.nan,
        "vector_not_unit": good * 0,
        "wrong_dimension": good[:-1],
    }
    for reason, vector in spoiled.items():
        yield _embedded(tenant, collection, reason, vector)
    yield _embedded(tenant, collection, "vector_not_finite", good * math.inf)
    yield _embedded(tenant, "no/collection", "bad_collection", good)


def _embedded(tenant: str, collection: str, reason: str, vector: np.ndarray) -> Poison:
    event = ChunksEmbedded(
        revision=DocumentRevision(
            document_id=f"document-of-{reason}",
            collection=collection,
            revision=1,
            revision_id="revision-1",
        ),
        part_count=1,
        embedder=EMBEDDER,
        dimension=DIMENSION,
        attempt=1,
        chunks=[EmbeddedChunk(chunk=Chunk(chunk_id="1", text="Poison."), vector=vector.tobytes())],
    )
    body = event.SerializeToString()
    return Poison(reason, subject_of(ChunksEmbedded, tenant), body, {"retrieval": reason})
