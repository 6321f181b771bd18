"""What ingestion says to the others: facts, in the past tense."""

from dataclasses import dataclass
from datetime import datetime

from gyre_ingestion.domain.chunking import Chunk
from gyre_ingestion.domain.documents import Document


@dataclass(frozen=True)
class Received:
    """The bytes of `document.revision` are stored and wait for attempt `document.attempt`."""

    document: Document


@dataclass(frozen=True)
class Chunked:
    """One part of a revision's chunks."""

    document: Document
    part_index: int
    part_count: int
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class Refused:
    """The newest revision will not be searchable; `document.progress.rejection` says why."""

    document: Document


@dataclass(frozen=True)
class Deleted:
    """Every revision up to `revision` must be found no more."""

    document: Document
    revision: int
    time: datetime


Fact = Received | Chunked | Refused | Deleted
