"""Keeps content findable when the document that stood for it leaves, or gets another text."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gyre_ingestion.domain.documents import Document, DocumentState
from gyre_ingestion.domain.facts import Deleted, Received
from gyre_ingestion.domain.lifecycle import await_heir, inherit
from gyre_ingestion.ports import Clock, DocumentChanges, Documents


async def record(
    changes: DocumentChanges, before: Document | None, after: Document, now: datetime
) -> None:
    """Saves a document; a text that it no longer stands for goes to the first refused copy of it.

    Exactly one copy is processed again, the others now wait for that one: whichever way it goes,
    it passes through here again, so that the text is lost only with its last copy. A deletion is
    said, and a revision of another text is cut, when the heir is found in its place, or when there
    is none.
    """
    await changes.save(after)
    if before and before.successor and not after.successor:
        _go_on(changes, before)
    text_hash = _let_go(before, after)
    heir = await _succeed(changes, after, text_hash, now) if text_hash else None
    if after.deleted and before and not before.deleted:
        awaited = await changes.get(before.successor) if before.successor else None
        await _leave(changes, before, after, heir or awaited)
    if text_hash or _came_into_search(before, after):
        for leaving in await changes.leaving_for(after.document_id):
            await _leave(changes, leaving, leaving, heir)


async def hand_over(changes: DocumentChanges, document: Document, now: datetime) -> bool:
    """Gives the text that search finds to a copy, if there is one; the document waits for it then.

    To be called before its next revision goes downstream, which would take that text away.
    """
    found, held = document.searchable.revision, document.held
    heir = await changes.first_copy_of(document.document_id) if found and held else None
    if heir is None or held is None:
        return False
    waiting = await_heir(document, heir.document_id, now)
    await changes.save(waiting)
    await _succeed(changes, waiting, held.text_hash, now)
    return True


async def _succeed(
    changes: DocumentChanges, after: Document, text_hash: str, now: datetime
) -> Document | None:
    heir = await changes.first_copy_of(after.document_id)
    if heir is not None:
        heir = inherit(heir, text_hash, now)
        await changes.save(heir)
        await changes.redirect_copies(after.document_id, heir.document_id)
        changes.say(Received(heir))
    return heir


async def _leave(
    changes: DocumentChanges, before: Document, after: Document, heir: Document | None
) -> None:
    """A document's text stays where it is found until its heir is found there."""
    waits = heir is not None and before.searchable.revision
    after = replace(after, successor=heir.document_id if heir and waits else "")
    await changes.save(after)
    if not waits:
        _go_on(changes, after)


def _go_on(changes: DocumentChanges, document: Document) -> None:
    """What had to wait for an heir: a deletion is said, a revision is processed."""
    if document.deleted:
        changes.say(Deleted(document, document.revision, document.update_time))
    else:
        changes.say(Received(document))


def _let_go(before: Document | None, after: Document) -> str:
    held = before.held.text_hash if before and before.held else ""
    return "" if after.held and after.held.text_hash == held else held


def _came_into_search(before: Document | None, after: Document) -> bool:
    indexed = DocumentState.INDEXED
    return after.state is indexed and before is not None and before.state is not indexed


@dataclass(frozen=True)
class Departures:
    """Ends the waits for heirs that are not found within `patience`: who deletes a document or
    changes it wants to see that."""

    documents: Documents
    clock: Clock
    patience: timedelta

    async def run(self) -> int:
        """One pass; how many it ended."""
        late = await self.documents.leaving_since(self.clock() - self.patience)
        for one in late:
            async with self.documents.changing(one.tenant, one.collection) as changes:
                before = await changes.get(one.document_id)
                if before is not None and before.successor:
                    await record(changes, before, replace(before, successor=""), self.clock())
        return len(late)
