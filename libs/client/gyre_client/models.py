"""What the client gives back: plain frozen dataclasses, read from the wire's messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from gyre.common.v1.document_pb2 import DocumentSource
from gyre.inference.v1 import answer_pb2
from gyre.ingestion.v1 import events_pb2, service_pb2
from gyre.retrieval.v1 import service_pb2 as retrieval_pb2


class DocumentState(StrEnum):
    """How far a document's newest revision has come."""

    RECEIVED = "received"
    CHUNKED = "chunked"
    EMBEDDED = "embedded"
    INDEXED = "indexed"
    REJECTED = "rejected"
    DELETED = "deleted"

    @property
    def settled(self) -> bool:
        """True when nothing more happens by itself."""
        return self in (DocumentState.INDEXED, DocumentState.REJECTED, DocumentState.DELETED)


@dataclass(frozen=True)
class Document:
    """A document and how far its newest revision has come.

    rejection: `reason: detail` when the revision was refused. indexed_revision: the revision
    that search finds now, 0 when none. personal_data_count: pieces replaced in the text.
    """

    document_id: str
    revision: int
    collection: str
    source_uri: str
    title: str
    media_type: str
    language: str
    metadata: Mapping[str, str]
    state: DocumentState
    rejection_reason: str
    rejection_detail: str
    size_bytes: int
    sha256: str
    chunk_count: int
    near_duplicates: tuple[str, ...]
    indexed_revision: int
    personal_data_count: int
    receive_time: datetime
    update_time: datetime

    @classmethod
    def read(cls, message: service_pb2.Document) -> Document:
        """From the wire."""
        reason = events_pb2.RejectionReason.Name(message.rejection_reason)
        return cls(
            document_id=message.revision.document_id,
            revision=message.revision.revision,
            collection=message.revision.collection,
            source_uri=message.source.source_uri,
            title=message.source.title,
            media_type=message.source.media_type,
            language=message.source.language,
            metadata=dict(message.source.metadata),
            state=DocumentState(
                _plain(service_pb2.DocumentState.Name(message.state), "DOCUMENT_STATE_")
            ),
            rejection_reason=_plain(reason, "REJECTION_REASON_")
            if message.rejection_reason
            else "",
            rejection_detail=message.rejection_detail,
            size_bytes=message.size_bytes,
            sha256=message.sha256,
            chunk_count=message.chunk_count,
            near_duplicates=tuple(message.near_duplicate_document_ids),
            indexed_revision=message.indexed_revision,
            personal_data_count=message.personal_data_count,
            receive_time=_time(message.receive_time),
            update_time=_time(message.update_time),
        )


@dataclass(frozen=True)
class Hit:
    """A passage that was found. score: on the mode's scale; routes: route -> (score, rank)."""

    chunk_id: str
    document_id: str
    revision: int
    source_uri: str
    title: str
    heading_path: tuple[str, ...]
    page: int
    text: str
    sentences: tuple[tuple[int, int], ...]
    score: float
    routes: Mapping[str, tuple[float, int]]

    @classmethod
    def read(cls, message: retrieval_pb2.Hit) -> Hit:
        """From the wire."""
        source: DocumentSource = message.source
        return cls(
            chunk_id=message.chunk.chunk_id,
            document_id=message.revision.document_id,
            revision=message.revision.revision,
            source_uri=source.source_uri,
            title=source.title,
            heading_path=tuple(message.chunk.heading_path),
            page=message.chunk.page,
            text=message.chunk.text,
            sentences=tuple((span.start, span.end) for span in message.chunk.sentences),
            score=message.score,
            routes={name: (route.score, route.rank) for name, route in message.routes.items()},
        )


@dataclass(frozen=True)
class Citation:
    """A sentence, verbatim, that supports a part of the answer; `[number]` in its text."""

    number: int
    document_id: str
    revision: int
    chunk_id: str
    title: str
    source_uri: str
    heading_path: tuple[str, ...]
    page: int
    sentence: str

    @classmethod
    def read(cls, message: answer_pb2.Citation) -> Citation:
        """From the wire."""
        return cls(
            number=message.number,
            document_id=message.document_id,
            revision=message.revision,
            chunk_id=message.chunk_id,
            title=message.title,
            source_uri=message.source_uri,
            heading_path=tuple(message.heading_path),
            page=message.page,
            sentence=message.sentence,
        )


@dataclass(frozen=True)
class Usage:
    """Tokens, counted by the model server."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int


@dataclass(frozen=True)
class Timings:
    """Seconds. overhead: what the platform added to search, sentence selection and model."""

    total: float
    time_to_first_token: float | None
    queue: float
    retrieval: float
    selection: float
    model: float
    overhead: float

    @classmethod
    def read(cls, message: answer_pb2.Timings) -> Timings:
        """From the wire."""
        first = message.time_to_first_token if message.HasField("time_to_first_token") else None
        return cls(
            total=_seconds(message.total),
            time_to_first_token=None if first is None else _seconds(first),
            queue=_seconds(message.queue),
            retrieval=_seconds(message.retrieval),
            selection=_seconds(message.selection),
            model=_seconds(message.model),
            overhead=_seconds(message.overhead),
        )


@dataclass(frozen=True)
class AnswerStarted:
    """First event. answer_id: give feedback on it."""

    answer_id: str
    model: str
    prompt_name: str = ""
    prompt_version: str = ""
    experiment: str = ""
    variant: str = ""


@dataclass(frozen=True)
class TextDelta:
    """Text to append."""

    text: str


@dataclass(frozen=True)
class AnswerDone:
    """Last event: the record is durable. finish_reason: stop, length, refused, ..."""

    text: str
    finish_reason: str
    citations: tuple[Citation, ...]
    usage: Usage
    timings: Timings


@dataclass(frozen=True)
class ChatMessage:
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Parameters:
    """How the model samples; None leaves it to the prompt version, then to the model."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = field(default=())

    def message(self) -> answer_pb2.GenerationParameters:
        """For the wire."""
        return answer_pb2.GenerationParameters(
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            seed=self.seed,
            stop=self.stop,
        )


def finish_reason(value: answer_pb2.FinishReason.ValueType) -> str:
    """`stop`, `length`, `cancelled`, `timeout` or `refused`."""
    return _plain(answer_pb2.FinishReason.Name(value), "FINISH_REASON_")


def usage(message: answer_pb2.TokenUsage) -> Usage:
    """From the wire."""
    return Usage(message.input_tokens, message.output_tokens, message.cached_tokens)


def _plain(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()


def _seconds(duration: Duration) -> float:
    return duration.ToTimedelta().total_seconds()


def _time(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(tzinfo=UTC).astimezone()
