"""Follows what the other services say about a document's chunks."""

from collections.abc import Callable
from datetime import datetime

from gyre_ingestion.domain.documents import Document, Rejection, RevisionName
from gyre_ingestion.domain.lifecycle import concerns, embed, fail_embedding, index, unindex
from gyre_ingestion.domain.parsed import RejectionReason
from gyre_ingestion.ports import Clock, Documents
from gyre_ingestion.use_cases.process import Outcome
from gyre_ingestion.use_cases.succession import record

Change = Callable[[Document, datetime], Document]


class Follow:
    """Keeps a document's state true. Order and repetition of what is heard do not matter."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    async def embedded(self, tenant: str, name: RevisionName, part_index: int) -> Outcome:
        """One part has its vectors."""

        def change(document: Document, now: datetime) -> Document:
            return embed(document, part_index, now) if concerns(document, name) else document

        return await self._apply(tenant, name, change)

    async def not_embedded(self, tenant: str, name: RevisionName, detail: str) -> Outcome:
        """One part will get no vectors."""
        rejection = Rejection(RejectionReason.NOT_EMBEDDED, detail)
        return await self._apply(
            tenant, name, lambda document, now: fail_embedding(document, name, rejection, now)
        )

    async def indexed(self, tenant: str, name: RevisionName) -> Outcome:
        """Search finds the revision, and no earlier one."""
        return await self._apply(tenant, name, lambda document, now: index(document, name, now))

    async def unindexed(self, tenant: str, name: RevisionName) -> Outcome:
        """Search finds no revision up to this one."""
        return await self._apply(
            tenant, name, lambda document, now: unindex(document, name.revision, now)
        )

    async def _apply(self, tenant: str, name: RevisionName, change: Change) -> Outcome:
        now = self._clock()
        async with self._documents.changing(tenant, name.collection) as changes:
            before = await changes.get(name.document_id)
            if before is None:
                return Outcome.UNKNOWN
            after = change(before, now)
            if after is before:
                return Outcome.STALE
            await record(changes, before, after, now)
        return Outcome.APPLIED
