"""Collections and single passages."""

from __future__ import annotations

from gyre_retrieval.domain.errors import ChunkUnknown, CollectionUnknown, QueryInvalid
from gyre_retrieval.domain.index import CollectionSummary
from gyre_retrieval.domain.passage import Passage
from gyre_retrieval.domain.query import Conditions, collection_violations
from gyre_retrieval.ports import Catalogue, VectorIndex

RACES = 5


class BrowseCollections:
    """Make, list, look up."""

    def __init__(self, catalogue: Catalogue, index: VectorIndex) -> None:
        self._catalogue = catalogue
        self._index = index

    async def make(self, tenant: str, collection: str) -> CollectionSummary:
        """Making it again changes nothing. Raises `QueryInvalid`."""
        if violations := collection_violations(collection):
            raise QueryInvalid(violations)
        await self._catalogue.make_collection(tenant, collection)
        summaries = await self._catalogue.collections(tenant)
        return next(summary for summary in summaries if summary.name == collection)

    async def list(self, tenant: str) -> list[CollectionSummary]:
        return await self._catalogue.collections(tenant)

    async def chunk(self, tenant: str, collection: str, chunk_id: str) -> Passage:
        """Raises `CollectionUnknown`, `ChunkUnknown`, `QueryInvalid`, `IndexUnavailable`."""
        violations = dict(collection_violations(collection))
        if not chunk_id:
            violations["chunk_id"] = "give the id of a chunk"
        if violations:
            raise QueryInvalid(violations)
        conditions = Conditions(tenant, collection)
        for _ in range(RACES):
            if passage := await self._look(conditions, chunk_id):
                return passage
        raise ChunkUnknown(chunk_id)

    async def _look(self, conditions: Conditions, chunk_id: str) -> Passage | None:
        place = conditions.tenant, conditions.collection
        view = await self._catalogue.view(*place)
        if view is None:
            raise CollectionUnknown(conditions.collection)
        if view.index is None:
            raise ChunkUnknown(chunk_id)
        found = await self._index.find(view.index, conditions, chunk_id)
        passages = [one.passage for one in found if conditions.allow(one.passage)]
        documents = sorted({passage.document.document_id for passage in passages})
        current = await self._catalogue.in_force(*place, documents)
        for passage in passages:
            held = current.get(passage.document.document_id)
            if held and (held.revision, held.attempt) == (
                passage.version.revision,
                passage.version.attempt,
            ):
                return passage
        if any(held.generation > view.generation for held in current.values()):
            return None
        raise ChunkUnknown(chunk_id)
