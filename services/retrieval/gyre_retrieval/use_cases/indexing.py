"""Parts in, documents in force, documents out."""

from __future__ import annotations

from collections.abc import Callable

from gyre_retrieval.domain.document import Arrival, Change, Verdict, delete, receive, standing
from gyre_retrieval.domain.errors import PartRefused
from gyre_retrieval.domain.identity import DocumentKey
from gyre_retrieval.domain.passage import Part
from gyre_retrieval.domain.query import collection_violations
from gyre_retrieval.ports import Catalogue, VectorIndex


class IndexDocuments:
    """Store, record, and leave the sweeping to the sweeper.

    A part is recorded only after its passages are durable. A crash between the two repeats the
    part, and the repetition writes the same keys.
    """

    def __init__(
        self, catalogue: Catalogue, index: VectorIndex, *, sweep: Callable[[], None]
    ) -> None:
        self._catalogue = catalogue
        self._index = index
        self._sweep = sweep

    async def receive(self, part: Part) -> Verdict:
        """Raises `PartRefused`, `EmbedderMismatch`, `IndexUnavailable`."""
        _refuse_bad_collection(part.document)
        known = await self._catalogue.document(part.document)
        if standing(known, part.version) is Verdict.STORED:
            await self._store(part)
            await self._leave_if_overtaken(part)
        async with self._catalogue.changing(part.document) as record:
            change = receive(record.state, _arrival(part))
            await record.apply(change)
        return self._done(change)

    async def delete(self, document: DocumentKey, revision: int, revision_id: str) -> Verdict:
        """Gone from search when this returns; from the index soon after."""
        async with self._catalogue.changing(document) as record:
            change = delete(record.state, revision, revision_id)
            await record.apply(change)
        return self._done(change)

    async def _store(self, part: Part) -> None:
        place = part.document.collection, part.embedder, part.dimension
        await self._index.store(await self._catalogue.claim_index(*place), part.passages)

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


def _arrival(part: Part) -> Arrival:
    return Arrival(
        part.version,
        part.revision_id,
        part.part_index,
        part.part_count,
        len(part.passages),
        part.embedder,
    )


def _refuse_bad_collection(document: DocumentKey) -> None:
    for violation in collection_violations(document.collection).values():
        raise PartRefused("bad_collection", violation)
    if not document.tenant or not document.document_id:
        raise PartRefused("bad_document", "a document needs a tenant and an id")
