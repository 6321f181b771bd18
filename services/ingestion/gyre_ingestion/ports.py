"""What the story needs from the world."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, Protocol

from gyre_ingestion.domain.documents import Content, Document, DocumentState
from gyre_ingestion.domain.facts import Fact
from gyre_ingestion.domain.parsed import ParsedDocument
from gyre_ingestion.domain.personal_data import PersonalDataPolicy, Redaction


class Parser(Protocol):
    """Finds the text of a file. Safe to call many times at once; never blocks the event loop."""

    async def parse(self, content: bytes, name: str) -> ParsedDocument:
        """The file's blocks, title and language; `name` is only a hint, the content decides.

        Raises `Rejected` with the true reason. Repeating it gives the same answer.
        """
        ...

    async def close(self) -> None:
        """Ends the workers; parsing afterwards is an error."""
        ...


class Redactor(Protocol):
    """Replaces personal data in a parsed document by typed placeholders."""

    async def redact(
        self, document: ParsedDocument, policy: PersonalDataPolicy, tenant: str
    ) -> Redaction:
        """The document by the policy; the same value in the same tenant gets the same pseudonym.

        Raises `Rejected` for a document that takes too much.
        """
        ...

    async def close(self) -> None:
        """Ends the workers; redacting afterwards is an error."""
        ...


Clock = Callable[[], datetime]
"""The present moment, in UTC."""


class ContentMissingError(Exception):
    """The original is not in the store, or not whole; trying again may help, an upload does."""


class ContentsUnavailableError(Exception):
    """The store does not answer; nothing was accepted, trying again may help."""


class ContentStore(Protocol):
    """Keeps originals, named by tenant and hash."""

    async def put(self, tenant: str, sha256: str, body: BinaryIO, size_bytes: int) -> Content:
        """Stores all of `body`; when it returns, the bytes are on disk. Repeating it is harmless,
        and makes the age count anew. Raises `ContentsUnavailableError`."""
        ...

    async def get(self, content: Content) -> bytes:
        """The bytes, checked by their hash. Raises `ContentMissingError`, never waits for ever."""
        ...

    def names(self) -> AsyncIterator[tuple[str, str]]:
        """Tenant and hash of everything that is stored."""
        ...

    async def remove_unless_fresh(self, tenant: str, sha256: str, moment: datetime) -> bool:
        """Removes it unless it was written after `moment`, even just now; whether it did."""
        ...

    async def remove_fragments(self, moment: datetime) -> int:
        """Removes what puts that were killed before `moment` left behind; how many."""
        ...


@dataclass(frozen=True)
class Selection:
    """Documents of a collection: all of them, or by id, or by state (None: all not deleted)."""

    collection: str
    document_ids: tuple[str, ...] = ()
    state: DocumentState | None = None


@dataclass(frozen=True)
class Changed:
    """A document and the number of the change that made it what it is."""

    number: int
    document: Document


@dataclass(frozen=True)
class Profile:
    """Counts of a collection's documents that are not deleted; keys as the contract says."""

    documents: int = 0
    chunks: int = 0
    size_bytes: int = 0
    by_state: Mapping[str, int] = field(default_factory=dict)
    by_media_type: Mapping[str, int] = field(default_factory=dict)
    by_language: Mapping[str, int] = field(default_factory=dict)
    by_reason: Mapping[str, int] = field(default_factory=dict)
    with_near_duplicates: int = 0
    policy: PersonalDataPolicy | None = None
    """None until the service's default is filled in."""


class DocumentChanges(Protocol):
    """One transaction on one collection of one tenant: all of it happens, or nothing.

    Transactions on the same collection follow one another, so what is read here stays true until
    the end; do slow work before.
    """

    policy: PersonalDataPolicy | None

    async def get(self, document_id: str) -> Document | None:
        """The document, when it is in this collection."""
        ...

    async def save(self, document: Document) -> None:
        """Inserts or replaces it; `near_duplicates` is kept by `mark_near_duplicates` alone."""
        ...

    async def holder(self, text_hash: str) -> str | None:
        """Id of the document that stands for this text."""
        ...

    async def first_copy_of(self, document_id: str) -> Document | None:
        """The document with the lowest id among those that were refused as its duplicates."""
        ...

    async def redirect_copies(self, document_id: str, heir_id: str) -> None:
        """Those refused as duplicates of `document_id` are duplicates of `heir_id` from now on."""
        ...

    async def leaving_for(self, document_id: str) -> Sequence[Document]:
        """Documents that stay in search as they are until `document_id` is found there."""
        ...

    async def set_fingerprint(
        self, document_id: str, signature: bytes, keys: Sequence[str]
    ) -> None:
        """Replaces the document's fingerprint; an empty signature forgets it."""
        ...

    async def alike(self, document_id: str, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Signatures of other documents that share a key, by id; of many, the first 200."""
        ...

    async def mark_near_duplicates(self, document_id: str, others: Collection[str]) -> None:
        """Replaces its near-duplicates, on both sides."""
        ...

    async def configure(self, policy: PersonalDataPolicy | None) -> None:
        """Sets the collection's policy; None goes back to the service's default."""
        ...

    def say(self, fact: Fact) -> None:
        """Tells the others, if and only if the transaction commits."""
        ...


class Documents(Protocol):
    """Where documents are kept. Only `leaving_since` sees more than one tenant."""

    def changing(
        self, tenant: str, collection: str
    ) -> AbstractAsyncContextManager[DocumentChanges]:
        """Opens a transaction; leaving it normally commits durably, an exception undoes it."""
        ...

    async def get(self, tenant: str, document_id: str) -> Document | None:
        """The document, or None when the tenant has none of that id."""
        ...

    async def list(
        self, tenant: str, selection: Selection, after: str, limit: int
    ) -> Sequence[Document]:
        """Documents by id, those behind `after`."""
        ...

    async def count(self, tenant: str, selection: Selection) -> int:
        """How many documents are selected."""
        ...

    async def holder_of_bytes(self, tenant: str, collection: str, sha256: str) -> str | None:
        """Id of the document that stands for content with exactly these bytes."""
        ...

    async def profile(self, tenant: str, collection: str) -> Profile:
        """Counts the collection."""
        ...

    async def policy(self, tenant: str, collection: str) -> PersonalDataPolicy | None:
        """The collection's policy; None when none was set."""
        ...

    async def changes_after(
        self, tenant: str, selection: Selection, after: tuple[int, str], limit: int
    ) -> Sequence[Changed]:
        """Documents (deleted ones too) by number of change, then id, those behind `after`."""
        ...

    async def last_change(self, tenant: str, collection: str) -> int:
        """Number of the newest change; 0 when there was none."""
        ...

    async def await_change(self, tenant: str, collection: str, after: int, patience: float) -> None:
        """Returns once there may be a change behind `after`, or after `patience` seconds."""
        ...

    async def leaving_since(self, moment: datetime) -> Sequence[Document]:
        """Of all tenants, the documents that have waited for a successor since before `moment`."""
        ...

    async def unused(self, tenant: str, hashes: Collection[str]) -> set[str]:
        """Those of the hashes that no living document's newest revision consists of."""
        ...


@dataclass(frozen=True)
class Found:
    """A document that an importer found, or the reason why it could not be fetched."""

    source_uri: str
    content: bytes = b""
    error: str = ""


class ImportRefusedError(Exception):
    """The source as a whole is not allowed; the message says which setting would allow it."""


class Importer(Protocol):
    """Fetches documents from one kind of place. One bad document never ends the whole."""

    def fetch(self, place: Sequence[str]) -> AsyncIterator[Found]:
        """What is at the place. Raises `ImportRefusedError` before the first when not allowed."""
        ...
