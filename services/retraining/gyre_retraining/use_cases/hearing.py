"""What datasets are made of is heard: kept as a source, and told to the lineage."""

from __future__ import annotations

from collections.abc import Sequence

from gyre_retraining.dataset_ports import SourceStore
from gyre_retraining.domain.sources import (
    ChunkText,
    Judgement,
    RecordedAnswer,
    Review,
    StateChange,
)
from gyre_retraining.use_cases.lineage import RecordLineage


class HearSources:
    """Every method may be repeated, and come in any order. The lineage comes first: it is written
    beside the event's own transaction, which marks the event as applied."""

    def __init__(self, sources: SourceStore, lineage: RecordLineage) -> None:
        self._sources = sources
        self._lineage = lineage

    async def answer(self, tenant: str, answer: RecordedAnswer) -> None:
        await self._lineage.answer(tenant, answer)
        await self._sources.put_answer(tenant, answer)

    async def judgement(self, tenant: str, judgement: Judgement) -> None:
        await self._lineage.judgement(tenant, judgement)
        await self._sources.put_judgement(tenant, judgement)

    async def state(self, tenant: str, change: StateChange) -> None:
        await self._sources.put_state(tenant, change)

    async def review(self, tenant: str, review: Review) -> None:
        await self._lineage.review(tenant, review)
        await self._sources.put_review(tenant, review)

    async def chunks(self, tenant: str, chunks: Sequence[ChunkText]) -> None:
        await self._sources.put_chunks(tenant, chunks)

    async def deleted(self, tenant: str, document_id: str, revision: int) -> None:
        """The document is gone, up to this revision: nothing is learnt from it any more."""
        await self._sources.erase_document(tenant, document_id, revision)
