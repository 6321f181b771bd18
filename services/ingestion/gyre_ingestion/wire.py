"""The nouns of the domain as messages of the contract, and back."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from functools import singledispatch
from typing import TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from gyre.common.v1 import chunk_pb2, document_pb2
from gyre.ingestion.v1 import events_pb2, service_pb2

from gyre_ingestion.domain import facts
from gyre_ingestion.domain.chunking import Chunk
from gyre_ingestion.domain.documents import Document, DocumentState, RevisionName, chunk_id_of
from gyre_ingestion.domain.parsed import RejectionReason
from gyre_ingestion.domain.personal_data import PersonalDataPolicy

EnumT = TypeVar("EnumT", bound=Enum)


def document_message(document: Document) -> service_pb2.Document:
    """A document as RPCs show it."""
    rejection = document.progress.rejection
    message = service_pb2.Document(
        revision=_revision(document),
        source=_source(document),
        state=service_pb2.DocumentState.Value(f"DOCUMENT_STATE_{document.state.name}"),
        size_bytes=document.content.size_bytes,
        sha256=document.content.sha256,
        chunk_count=document.progress.chunk_count,
        near_duplicate_document_ids=document.near_duplicates,
        receive_time=_time(document.receive_time),
        update_time=_time(document.update_time),
        indexed_revision=document.searchable.revision,
        personal_data_count=document.progress.personal_data_count,
    )
    if rejection:
        message.rejection_reason = _reason(rejection.reason)
        message.rejection_detail = rejection.detail
    return message


def revision_name(revision: document_pb2.DocumentRevision, attempt: int = 0) -> RevisionName:
    """What an event is about."""
    return RevisionName(
        revision.document_id, revision.collection, revision.revision, attempt=attempt
    )


def state_of(message: service_pb2.DocumentState.ValueType) -> DocumentState | None:
    """None for UNSPECIFIED; a number that no state has raises `ValueError`."""
    return _named(DocumentState, service_pb2.DocumentState.Name(message), "DOCUMENT_STATE_")


def policy_of(message: service_pb2.PersonalDataPolicy.ValueType) -> PersonalDataPolicy | None:
    """None for UNSPECIFIED; a number that no policy has raises `ValueError`."""
    name = service_pb2.PersonalDataPolicy.Name(message)
    return _named(PersonalDataPolicy, name, "PERSONAL_DATA_POLICY_")


def policy_message(
    policy: PersonalDataPolicy | None,
) -> service_pb2.PersonalDataPolicy.ValueType:
    """The policy as the contract names it; None is UNSPECIFIED."""
    if policy is None:
        return service_pb2.PERSONAL_DATA_POLICY_UNSPECIFIED
    return service_pb2.PersonalDataPolicy.Value(f"PERSONAL_DATA_POLICY_{policy.name}")


@singledispatch
def event_of(fact: facts.Fact) -> Message:
    """The event that tells of a fact."""
    raise TypeError(f"no event tells of {type(fact).__name__}")


@event_of.register
def _received(fact: facts.Received) -> Message:
    document = fact.document
    return events_pb2.DocumentReceived(
        revision=_revision(document),
        source=_source(document),
        content=document_pb2.ObjectReference(
            uri=document.content.uri,
            sha256=document.content.sha256,
            size_bytes=document.content.size_bytes,
        ),
        receive_time=_time(document.receive_time),
        attempt=document.attempt,
    )


@event_of.register
def _chunked(fact: facts.Chunked) -> Message:
    return events_pb2.DocumentChunked(
        revision=_revision(fact.document),
        source=_source(fact.document),
        part_index=fact.part_index,
        part_count=fact.part_count,
        chunks=[_chunk(fact.document.revision_id, chunk) for chunk in fact.chunks],
        attempt=fact.document.attempt,
    )


@event_of.register
def _refused(fact: facts.Refused) -> Message:
    rejection = fact.document.progress.rejection
    if rejection is None:
        raise ValueError(f"{fact.document.document_id} was not refused")
    return events_pb2.DocumentRejected(
        revision=_revision(fact.document),
        source=_source(fact.document),
        reason=_reason(rejection.reason),
        detail=rejection.detail,
        duplicate_of_document_id=rejection.duplicate_of,
    )


@event_of.register
def _deleted(fact: facts.Deleted) -> Message:
    revision = _revision(fact.document)
    revision.revision = fact.revision
    if fact.revision != fact.document.revision:
        revision.ClearField("revision_id")
    return events_pb2.DocumentDeleted(revision=revision, delete_time=_time(fact.time))


def _revision(document: Document) -> document_pb2.DocumentRevision:
    return document_pb2.DocumentRevision(
        document_id=document.document_id,
        revision_id=document.revision_id,
        revision=document.revision,
        collection=document.collection,
    )


def _source(document: Document) -> document_pb2.DocumentSource:
    labels: Mapping[str, str] = document.metadata
    return document_pb2.DocumentSource(
        source_uri=document.source_uri,
        title=document.title,
        media_type=document.media_type,
        language=document.language,
        metadata=labels,
    )


def _chunk(revision_id: str, chunk: Chunk) -> chunk_pb2.Chunk:
    spans = [chunk_pb2.SentenceSpan(start=span.start, end=span.end) for span in chunk.sentences]
    return chunk_pb2.Chunk(
        chunk_id=chunk_id_of(revision_id, chunk.ordinal),
        ordinal=chunk.ordinal,
        text=chunk.text,
        heading_path=chunk.heading_path,
        page=chunk.page,
        sentences=spans,
        token_count=chunk.token_count,
        start_offset=chunk.start_offset,
        end_offset=chunk.end_offset,
    )


def _reason(reason: RejectionReason) -> events_pb2.RejectionReason.ValueType:
    return events_pb2.RejectionReason.Value(f"REJECTION_REASON_{reason.name}")


def _time(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _named(kind: type[EnumT], name: str, prefix: str) -> EnumT | None:
    return kind.__members__.get(name.removeprefix(prefix))
