"""Shows documents as they change."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from gyre_ingestion.domain.documents import Document
from gyre_ingestion.ports import Changed, Documents, Selection

_BATCH = 200
_TOGETHER_SECONDS = 0.05


class WatchEndedError(Exception):
    """The service stops; what comes next another replica will show."""


@dataclass(frozen=True)
class Watch:
    """Streams states: first all present ones, then every change.

    Changes of a collection are numbered in the order in which they become visible, so one cursor
    sees each document's last state, also when another replica made it; `poll_seconds` bounds how
    late that is. States in between may be left out when the reader is slow.
    """

    documents: Documents
    poll_seconds: float
    ending: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> None:
        """Ends all watches within `poll_seconds`, so that the process can stop."""
        self.ending.set()

    async def watch(self, tenant: str, selection: Selection) -> AsyncGenerator[Document, None]:
        """Documents, without end; close it to leave. Raises `WatchEndedError` after `end`."""
        head = await self.documents.last_change(tenant, selection.collection)
        cursor = (0, "")
        while not self.ending.is_set():
            batch = await self.documents.changes_after(tenant, selection, cursor, _BATCH)
            for changed in batch:
                if _is_shown(changed, head, selection):
                    yield changed.document
            if batch:
                cursor = (batch[-1].number, batch[-1].document.document_id)
            if len(batch) < _BATCH:
                await self._wait(tenant, selection.collection, cursor[0])
        raise WatchEndedError

    async def _wait(self, tenant: str, collection: str, seen: int) -> None:
        await self.documents.await_change(tenant, collection, seen, self.poll_seconds)
        # Many documents change at once: what comes within a blink is read in one query.
        await asyncio.sleep(_TOGETHER_SECONDS)


def _is_shown(changed: Changed, head: int, selection: Selection) -> bool:
    """What was deleted before the watch began is shown only to who asks for it by id."""
    past = changed.document.deleted and changed.number <= head
    return bool(selection.document_ids) or not past
