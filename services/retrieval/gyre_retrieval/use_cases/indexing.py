"""Parts in, documents in force, documents out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gyre_retrieval.domain.document import (
    Arrival,
    Change,
    DocumentState,
    Verdict,
    delete,
    gathered,
    receive,
    scattered,
    standing,
)
from gyre_retrieval.domain.errors import EmbedderMismatch, PartRefused
from gyre_retrieval.domain.identity import DocumentKey
from gyre_retrieval.domain.index import Index
from gyre_retrieval.domain.passage import EmbeddedPassage, Part, Passage
from gyre_retrieval.domain.query import collection_violations
from gyre_retrieval.domain.reindex import Wanted
from gyre_retrieval.domain.vector import Vector
from gyre_retrieval.ports import (
    Catalogue,
    DocumentRecord,
    IndexMissing,
    IndexUnavailable,
    PassageEmbedder,
    VectorIndex,
)

RACES = 5
LONGEST_PAUSE = 0.1


class _Moved(Exception):
    """Another index is in use than the one that the passages lie in, or soon will be."""

    def __init__(self, hold: float) -> None:
        super().__init__()
        self.hold = hold


class IndexDocuments:
    """Store, record, and leave the sweeping to the sweeper.

    A part is recorded only after its passages are durable. A crash between the two repeats the
    part, and the repetition writes the same keys. Passages always go to the index in use: where
    the part's vectors are another embedder's, they are made anew. A version comes into force only
    while all its passages lie in the index in use.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        index: VectorIndex,
        embedder: PassageEmbedder,
        *,
        sweep: Callable[[], None],
    ) -> None:
        self._catalogue = catalogue
        self._index = index
        self._embedder = embedder
        self._sweep = sweep

    async def receive(self, part: Part) -> Verdict:
        """Raises `PartRefused`, `EmbedderMismatch`, and what the ports raise."""
        _refuse_bad_collection(part.document)
        races = 0
        while races < RACES:
            known = await self._catalogue.document(part.document)
            home, carried = await self._stored(part, known)
            try:
                async with self._catalogue.changing(part.document) as record:
                    change = await _change(record, part, home, carried)
                    await record.apply(change)
            except _Moved as moved:
                races += not moved.hold
                await asyncio.sleep(min(moved.hold, LONGEST_PAUSE))
            else:
                return self._done(change)
        raise IndexUnavailable("the collection's index changed again and again")

    async def delete(self, document: DocumentKey, revision: int, revision_id: str) -> Verdict:
        """Gone from search when this returns; from every index soon after."""
        async with self._catalogue.changing(document) as record:
            change = delete(record.state, revision, revision_id)
            await record.apply(change)
        return self._done(change)

    async def _stored(
        self, part: Part, known: DocumentState
    ) -> tuple[Index | None, frozenset[Arrival]]:
        """Where the part lies now, and its siblings that were copied there; None where it is not
        wanted any more."""
        if standing(known, part.version) is not Verdict.STORED:
            return None, frozenset()
        place = part.document.collection, part.embedder, part.dimension
        home = await self._catalogue.claim_index(*place)
        await self._index.store(home, await self._for(home, part))
        carried = await self._carry(known, part, home)
        await self._leave_if_overtaken(part)
        return home, carried

    async def _for(self, home: Index, part: Part) -> tuple[EmbeddedPassage, ...]:
        if home.embedder == part.embedder:
            return part.passages
        return await self._embedded(home, [one.passage for one in part.passages])

    async def _carry(self, known: DocumentState, part: Part, home: Index) -> frozenset[Arrival]:
        """Parts that came while another index was in use are copied from there."""
        elsewhere = frozenset(
            one
            for one in scattered(known, part.version, home.embedder)
            if one.part_index != part.part_index
        )
        for embedder in sorted({one.embedder for one in elsewhere}):
            there = [one for one in elsewhere if one.embedder == embedder]
            count = sum(one.chunk_count for one in there)
            wanted = Wanted(part.document, part.version, count)
            passages = await self._read(home.collection, embedder, wanted)
            await self._index.store(home, await self._embedded(home, passages))
        return elsewhere

    async def _read(self, collection: str, embedder: str, wanted: Wanted) -> list[Passage]:
        indexes = await self._catalogue.indexes(collection)
        source = next((one for one in indexes if one.embedder == embedder), None)
        if source is None:
            raise _lost(embedder)
        try:
            passages = await self._index.passages(source, [wanted])
        except IndexMissing as error:
            raise _lost(embedder) from error
        if len(passages) < wanted.chunk_count:
            raise IndexUnavailable(f"{len(passages)} of {wanted.chunk_count} passages were read")
        return passages

    async def _embedded(self, home: Index, passages: list[Passage]) -> tuple[EmbeddedPassage, ...]:
        return await embedded_for(home, passages, self._embedder)

    async def _leave_if_overtaken(self, part: Part) -> None:
        """A newer version may be in force by now, and this one swept before it was stored again;
        of a copy of an event that is applied already, nothing is recorded."""
        known = await self._catalogue.document(part.document)
        if standing(known, part.version) is Verdict.STALE:
            await self._catalogue.leave(part.document, part.version)
            self._sweep()

    def _done(self, change: Change) -> Verdict:
        if change.leavings:
            self._sweep()
        return change.verdict


async def embedded_for(
    index: Index, passages: list[Passage], embedder: PassageEmbedder
) -> tuple[EmbeddedPassage, ...]:
    """With vectors of the index's embedder. Raises `EmbedderMismatch`, what the port raises."""
    if not passages:
        return ()
    texts = [passage.chunk.text for passage in passages]
    vectors: list[Vector] = await embedder.embed_passages(texts, index.embedder)
    if any(len(vector) != index.dimension for vector in vectors):
        raise EmbedderMismatch(f"{index.embedder} with {len(vectors[0])} numbers", index.embedder)
    pairs = zip(passages, vectors, strict=True)
    return tuple(EmbeddedPassage(passage, vector) for passage, vector in pairs)


async def _change(
    record: DocumentRecord, part: Part, home: Index | None, carried: frozenset[Arrival]
) -> Change:
    """Raises `_Moved`, which leaves everything as it was."""
    if home is None:
        return receive(record.state, _arrival(part, part.embedder))
    known = gathered(record.state, carried, home.embedder)
    change = receive(known, _arrival(part, home.embedder))
    if change.verdict is Verdict.INDEXED:
        serving = await record.serving()
        hold = serving.hold if serving else 0.0
        if hold or serving is None or serving.index != home:
            raise _Moved(hold)
        elsewhere = scattered(known, part.version, home.embedder)
        if any(one.part_index != part.part_index for one in elsewhere):
            raise _Moved(0.0)
    return change


def _arrival(part: Part, embedder: str) -> Arrival:
    return Arrival(
        part.version,
        part.revision_id,
        part.part_index,
        part.part_count,
        len(part.passages),
        embedder,
    )


def _lost(embedder: str) -> PartRefused:
    return PartRefused(
        "parts_lost",
        f"other parts of this version lay in the index of {embedder}, which is gone: "
        "process the document again",
    )


def _refuse_bad_collection(document: DocumentKey) -> None:
    for violation in collection_violations(document.collection).values():
        raise PartRefused("bad_collection", violation)
    if not document.tenant or not document.document_id:
        raise PartRefused("bad_document", "a document needs a tenant and an id")
