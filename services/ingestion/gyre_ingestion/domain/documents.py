"""A document, its newest revision, and how far that one has come."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gyre_ingestion.domain.parsed import RejectionReason
from gyre_ingestion.domain.personal_data import PersonalDataPolicy

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "document.ingestion.gyre")


class DocumentState(StrEnum):
    """How far the newest revision has come; the names are those of the contract."""

    RECEIVED = "received"
    CHUNKED = "chunked"
    EMBEDDED = "embedded"
    INDEXED = "indexed"
    REJECTED = "rejected"
    DELETED = "deleted"


@dataclass(frozen=True)
class RevisionName:
    """What an event is about; `attempt` is 0 when the event does not say."""

    document_id: str
    collection: str
    revision: int
    attempt: int = 0


@dataclass(frozen=True)
class Content:
    """The stored original: where it is, its lower-case hexadecimal SHA-256, its size in bytes."""

    uri: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Rejection:
    """Why a revision is not indexed; `detail` is one sentence for people, without content."""

    reason: RejectionReason
    detail: str
    duplicate_of: str = ""


@dataclass(frozen=True)
class Progress:
    """What is known about one attempt at one revision; a new attempt starts from nothing."""

    part_count: int = 0
    chunk_count: int = 0
    personal_data_count: int = 0
    embedded_parts: frozenset[int] = frozenset()
    rejection: Rejection | None = None


@dataclass(frozen=True)
class Searchable:
    """What retrieval said, as the highest numbers heard: the order of hearing does not matter."""

    indexed_revision: int = 0
    indexed_attempt: int = 0
    unindexed_revision: int = 0

    @property
    def revision(self) -> int:
        """The revision that search finds now; 0 when none is."""
        return self.indexed_revision if self.indexed_revision > self.unindexed_revision else 0


@dataclass(frozen=True)
class Held:
    """The content that this document stands for in its collection; copies of it are refused."""

    sha256: str
    text_hash: str


@dataclass(frozen=True)
class Document:
    """A document with its newest revision. `cut_revision` (and its attempt) is the newest that went
    downstream and was not taken back, 0 when none is; `near_duplicates` are ids of others;
    `successor` is the copy for which it waits: its text is found here until it is found there."""

    tenant: str
    document_id: str
    collection: str
    source_uri: str
    revision: int
    revision_id: str
    content: Content
    policy: PersonalDataPolicy
    receive_time: datetime
    update_time: datetime
    attempt: int = 1
    title: str = ""
    media_type: str = ""
    language: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    progress: Progress = Progress()
    searchable: Searchable = Searchable()
    cut_revision: int = 0
    cut_attempt: int = 0
    held: Held | None = None
    deleted: bool = False
    successor: str = ""
    near_duplicates: tuple[str, ...] = ()

    @property
    def state(self) -> DocumentState:
        """How far the newest revision has come."""
        if self.deleted:
            return DocumentState.DELETED
        return DocumentState.REJECTED if self.progress.rejection else self._advance()

    def _advance(self) -> DocumentState:
        found = (self.searchable.indexed_revision, self.searchable.indexed_attempt)
        if found == (self.revision, self.attempt) and self.searchable.revision:
            return DocumentState.INDEXED
        if not self.progress.part_count:
            return DocumentState.RECEIVED
        complete = len(self.progress.embedded_parts) == self.progress.part_count
        return DocumentState.EMBEDDED if complete else DocumentState.CHUNKED

    @property
    def unprocessed(self) -> bool:
        """Whether the newest revision waits to be parsed: nobody tried yet, or nobody could."""
        rejection = self.progress.rejection
        given_up = rejection is not None and rejection.reason is RejectionReason.NOT_PROCESSED
        waits = self.state is DocumentState.RECEIVED or (given_up and not self.deleted)
        return waits and not self.successor

    @property
    def duplicate_of(self) -> str:
        """Id of the document with the same content that this one was refused for, or empty."""
        return self.progress.rejection.duplicate_of if self.progress.rejection else ""


def document_id_of(tenant: str, collection: str, source_uri: str) -> str:
    """The same source is the same document; neither tenant nor collection can contain a slash."""
    return str(uuid.uuid5(_NAMESPACE, f"{tenant}/{collection}/{source_uri}"))


def revision_id_of(document_id: str, revision: int, sha256: str) -> str:
    """The count is part of it: going back to earlier bytes must not revive earlier chunks' ids."""
    return str(uuid.uuid5(_NAMESPACE, f"{document_id}/{revision}/{sha256}"))


def chunk_id_of(revision_id: str, ordinal: int) -> str:
    """The same place of the same revision is the same chunk."""
    return str(uuid.uuid5(_NAMESPACE, f"{revision_id}/{ordinal}"))
