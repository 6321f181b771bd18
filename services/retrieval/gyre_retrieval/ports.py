"""What the stories need from the world."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from gyre_retrieval.domain.document import Change, DocumentState
from gyre_retrieval.domain.helpfulness import Opinion
from gyre_retrieval.domain.identity import DocumentKey, Version
from gyre_retrieval.domain.index import CollectionSummary, Index, InForce, View
from gyre_retrieval.domain.passage import EmbeddedPassage, Passage
from gyre_retrieval.domain.query import Conditions, Found, Route
from gyre_retrieval.domain.reindex import (
    Gate,
    JudgedComparison,
    Progress,
    Reindex,
    Sample,
    Wanted,
    Wish,
)
from gyre_retrieval.domain.vector import Vector


class IndexUnavailable(Exception):
    """The vector database does not answer now; the same call may succeed later."""


class IndexMissing(Exception):
    """The vector database answers, but has no such index: it lost its data."""


class EmbedderUnavailable(Exception):
    """The embedding service does not answer now; the same call may succeed later."""


class EmbedderUnknown(Exception):
    """No embedder of that name is loaded; the same call may succeed when it is."""


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


@dataclass(frozen=True, slots=True)
class Serving:
    """The index in use. hold: seconds for which nothing may come into force, as another index is
    about to be used; 0 but then."""

    index: Index
    hold: float


class QueryEmbedder(Protocol):
    """Text to vector; may be repeated."""

    async def embed(self, text: str, embedder: str) -> Embedded:
        """By the embedder of that name. Goes before bulk work.

        Raises `EmbedderUnavailable`, `EmbedderUnknown` or `EmbedderRefused`.
        """


class PassageEmbedder(Protocol):
    """Passages to vectors, as work that nobody waits for; may be repeated."""

    async def embed_passages(self, texts: Sequence[str], embedder: str) -> list[Vector]:
        """One unit vector per text, in order, by the embedder of that name.

        Raises `EmbedderUnavailable`, `EmbedderUnknown` or `EmbedderRefused`.
        """


class Embedder(QueryEmbedder, PassageEmbedder, Protocol):
    """Both."""


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

    async def make(self, index: Index) -> None:
        """Makes the index where it is not there."""

    async def passages(self, index: Index, wanted: Sequence[Wanted]) -> list[Passage]:
        """All passages of these versions that are there, in any order. Raises `IndexMissing`."""

    async def names(self) -> frozenset[str]:
        """Names of the indexes that are there, those of other owners too."""

    async def drop(self, name: str) -> None:
        """Removes an index with all that is in it, for good; one that is not there is no error."""

    async def point(self, index: Index) -> None:
        """Lets the alias of the index's collection name it, for people and tools."""

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

    async def serving(self) -> Serving | None:
        """The collection's index in use, which stays in use until the block ends; None where
        there is none, or where it is being changed."""

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

        Raises `EmbedderMismatch` where it is this embedder's with another dimension.
        """

    async def indexes(self, collection: str) -> list[Index]:
        """All indexes of a collection, in use or not."""

    async def index(self, collection: str, name: str) -> Index | None:
        """One of the collection that holds all: in use, filled, or kept from before a switch."""

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


class Reindexes(Protocol):
    """Reindexings, and which versions an index that is not in use holds (its fills).

    A change and the event that says so are one commit. Every call may be repeated.
    """

    async def wish(self, wishes: Sequence[Wish]) -> None:
        """Keeps one for each collection: the last, but never an earlier version of a model."""

    async def wishes(self) -> list[Wish]: ...

    async def drop_wish(self, wish: Wish) -> None:
        """It is granted or outdated; another one of its collection stays."""

    async def is_made(self, creation_key: str) -> bool:
        """Whether a reindexing was started for it, whatever became of it."""

    async def filled(self, collection: str) -> Reindex | None:
        """The one whose index is filled, or waits to be used."""

    async def model_of(self, index: Index) -> str:
        """The trained model that it was filled for; empty for all else."""

    async def judge(self, tenant: str, reindex_id: str, gate: Gate) -> bool:
        """Keeps the verdict of the gate of a gated one, but no person's word. False: no such one
        of this tenant."""

    async def grant(self, tenant: str, reindex_id: str, gate: Gate) -> bool:
        """Keeps a person's word on it, in the same way."""

    async def start(self, reindex: Reindex) -> None:
        """Keeps it; its index is known to the catalogue from now on, and not in use. The wish that
        it grants is dropped.

        Raises `ReindexRefused` where another index of the collection is filled or waits, or
        where `previous` is not in use any more.
        """

    async def get(self, reindex_id: str) -> Reindex:
        """Raises `ReindexUnknown`."""

    async def newest(self, collection: str, limit: int, offset: int) -> list[Reindex]:
        """Newest first; empty collection: all."""

    async def open(self) -> list[Reindex]:
        """Those whose follower is kept up, oldest first."""

    async def claim(self, reindex_id: str, owner: str, seconds: float) -> bool:
        """Whether `owner` may work on it for so long; again and again the same one may."""

    async def progress(self, reindex: Reindex) -> Progress: ...

    async def change_count(self, collection: str) -> int:
        """Grows with every change of what is in force, of any tenant."""

    async def in_use(self, collection: str) -> Index | None: ...

    async def lagging(self, follower: Index, after: DocumentKey | None, limit: int) -> list[Wanted]:
        """What is in force and not in the follower, by tenant and document id, behind `after`."""

    async def begin(self, follower: Index, wanted: Sequence[Wanted]) -> None:
        """Notes what is about to be stored, so that a crash leaves nothing that nobody removes."""

    async def finish(self, follower: Index, wanted: Sequence[Wanted]) -> None:
        """Their passages lie in the follower; what is no longer in force must leave instead."""

    async def settle(self, follower: Index) -> int:
        """What was begun or stored and is not in force any more must leave; returns how many."""

    async def detail(self, reindex_id: str, detail: str) -> None:
        """What holds it up; empty where nothing does."""

    async def build(self, reindex_id: str) -> None:
        """FILLING becomes READY, and `IndexBuilt` is said; any other state stays."""

    async def hold(self, collection: str, seconds: float) -> None:
        """Nothing comes into force in the collection for so long."""

    async def switch(self, reindex_id: str, *, back: bool, keep: float) -> Reindex:
        """Uses the other index from this commit on; ends the hold. keep: seconds for which the
        one before is kept.

        Raises `NotCaughtUp` where anything in force is not in it, `ReindexRefused` where the
        state or the index in use is not the one that this needs.
        """

    async def abort(self, reindex_id: str, reason: str) -> Reindex:
        """The index is unknown to the catalogue from this commit on, so the reconciler drops it.

        Raises `ReindexRefused` where it is in use or was.
        """

    async def end(self, reindex_id: str) -> None:
        """SWITCHED becomes ENDED: the catalogue knows the index before no more."""

    async def orphans(self, names: Collection[str]) -> frozenset[str]:
        """Of these indexes, those that were of a reindexing and that the catalogue does not know
        any more. A name that never was ours is none of them."""

    async def strangers(self, names: Collection[str]) -> frozenset[str]:
        """Of these, those that neither the catalogue nor any reindexing ever knew."""

    async def keep_sample(self, reindex_id: str, sample: Sample, most: int) -> None:
        """Where there are `most` already it is not kept."""

    async def samples(self, reindex_id: str) -> list[Sample]:
        """Oldest first."""

    async def keep_judged(self, reindex_id: str, judged: JudgedComparison) -> None:
        """In the place of the one before."""

    async def judged(self, reindex_id: str) -> JudgedComparison | None: ...
