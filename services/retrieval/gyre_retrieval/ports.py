"""What the stories need from the world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from gyre_retrieval.domain.document import Change, DocumentState
from gyre_retrieval.domain.helpfulness import Opinion
from gyre_retrieval.domain.identity import DocumentKey, Version
from gyre_retrieval.domain.index import CollectionSummary, Index, InForce, View
from gyre_retrieval.domain.passage import EmbeddedPassage
from gyre_retrieval.domain.query import Conditions, Found, Route
from gyre_retrieval.domain.vector import Vector


class IndexUnavailable(Exception):
    """The vector database does not answer now; the same call may succeed later."""


class IndexMissing(Exception):
    """The vector database answers, but has no such index: it lost its data."""


class EmbedderUnavailable(Exception):
    """The embedding service does not answer now; the same call may succeed later."""


class EmbedderRefused(Exception):
    """The embedding service will not embed this text; a repetition changes nothing."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A query's unit vector and the name and version of the model that made it."""

    vector: Vector
    embedder: str


@dataclass(frozen=True, slots=True)
class Leaving:
    """A version whose passages must leave every index of its collection.

    since: when it was said last, in seconds. A late repetition of a part stores them once more.
    """

    document: DocumentKey
    version: Version
    since: float = field(default=0.0, compare=False)


class QueryEmbedder(Protocol):
    """Text to vector; may be repeated."""

    async def embed(self, text: str) -> Embedded:
        """Raises `EmbedderUnavailable` or `EmbedderRefused`."""


class VectorIndex(Protocol):
    """Passages by vector and by word. Every call may be repeated; all raise `IndexUnavailable`.

    The index knows nothing of what is in force: it keeps several versions of a document side by
    side, and the caller looks at each hit.
    """

    async def store(self, index: Index, passages: Sequence[EmbeddedPassage]) -> None:
        """Returns when the passages are durable and every later search finds them.

        Makes the index where it is not there. A passage of the same document, version and chunk
        id is replaced.
        """

    async def remove(self, index: Index, leavings: Sequence[Leaving]) -> None:
        """Returns when no later search finds these versions; unknown ones are no error."""

    async def search(
        self,
        index: Index,
        route: Route,
        probe: Vector | str,
        conditions: Conditions,
        limit: int,
    ) -> list[Found]:
        """At most `limit` passages that fulfil the conditions, best first, of any version.

        probe: a unit vector for DENSE, the query's words for LEXICAL. Fewer than `limit` means
        that there are no more (LEXICAL: none that shares a word). Raises `IndexMissing`.
        """

    async def find(self, index: Index, conditions: Conditions, chunk_id: str) -> list[Found]:
        """All versions of one chunk, score 0. Raises `IndexMissing`."""

    async def check(self) -> None:
        """Returns when the vector database answers, readers and writers alike."""


class Helpfulness(Protocol):
    """What people thought of passages."""

    async def keep(self, tenant: str, opinion: Opinion) -> None:
        """Keeps the newest revision. May be repeated."""

    async def of(self, tenant: str, chunk_ids: Sequence[str]) -> Mapping[str, float]:
        """0 to 1 by passage, over all metrics by votes; one that nobody judged is absent."""


class DocumentRecord(Protocol):
    """One document, locked against other writers."""

    @property
    def state(self) -> DocumentState: ...

    async def apply(self, change: Change) -> None:
        """Keeps state, leavings and facts to be said, all or none, when the block ends."""


class Catalogue(Protocol):
    """What is in force. Its word counts; the index follows."""

    def changing(self, document: DocumentKey) -> AbstractAsyncContextManager[DocumentRecord]:
        """A short block that holds the writer's lock: do slow work before it.

        Ends with one commit (also of the event being handled as applied), or with none where the
        block raises. A document's collection is made with its first change.
        """

    async def document(self, document: DocumentKey) -> DocumentState:
        """What is known about a document; an empty state where nothing is."""

    async def claim_index(self, collection: str, embedder: str, dimension: int) -> Index:
        """The collection's index in use; made for this embedder where there is none yet.

        Raises `EmbedderMismatch` where it is another embedder's.
        """

    async def indexes(self, collection: str) -> list[Index]:
        """All indexes of a collection, in use or not."""

    async def make_collection(self, tenant: str, collection: str) -> None:
        """Making it again changes nothing."""

    async def view(self, tenant: str, collection: str) -> View | None:
        """None where the tenant has no such collection."""

    async def in_force(
        self, tenant: str, collection: str, document_ids: Sequence[str]
    ) -> Mapping[str, InForce]:
        """By document id; a document that is not found by search is absent."""

    async def look(
        self, tenant: str, collection: str, document_ids: Sequence[str]
    ) -> tuple[View | None, Mapping[str, InForce]]:
        """`view` and `in_force` of one moment, in one reading: every search waits for it."""

    async def collections(self, tenant: str) -> list[CollectionSummary]:
        """Ordered by name."""

    async def leavings(self, limit: int) -> list[Leaving]:
        """Versions whose passages are still to be removed, oldest first."""

    async def leave(self, document: DocumentKey, version: Version) -> None:
        """Its passages are to be removed; committed at once, whatever becomes of the event."""

    async def forget(self, leavings: Sequence[Leaving]) -> None:
        """The passages of these are gone; one said again since it was read stays to be removed."""
