"""A new revision takes the old one's place in one moment; a deleted document is gone."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from gyre_client import DocumentState, Gyre, Hit

from tests.platform.documents import ingest, settled

COLLECTION = "revisions"
REVISIONS = 6


def page(mark: str, revision: int) -> bytes:
    """Long enough for several passages, each of which names the mark and the revision."""
    rules = (f"Rule {n} of {mark} says: edition {revision}, clause {n * 7}. " * 8 for n in range(9))
    return "\n\n".join((f"# {mark}", *rules)).encode()


async def found(gyre: Gyre, mark: str) -> list[Hit]:
    hits = await gyre.search(mark, collection=COLLECTION, mode="lexical", top_k=20)
    return [hit for hit in hits if mark in hit.text]


async def test_there_is_no_moment_in_which_neither_revision_is_found(gyre: Gyre) -> None:
    mark = f"tariff{uuid4().hex[:10]}"
    name = f"{mark}.md"
    (document,) = await ingest(gyre, {name: page(mark, 1)}, COLLECTION)
    done = asyncio.Event()
    seen: list[set[int]] = []

    async def look() -> None:
        while not done.is_set():
            seen.append({hit.revision for hit in await found(gyre, mark)})

    async def change() -> None:
        for revision in range(2, REVISIONS + 1):
            await ingest(gyre, {name: page(mark, revision)}, COLLECTION)
        done.set()

    await asyncio.gather(look(), change())
    assert all(len(revisions) == 1 for revisions in seen), seen
    order = [revision for revisions in seen for revision in revisions]
    assert order == sorted(order)
    hits = await found(gyre, mark)
    assert {(hit.document_id, hit.revision) for hit in hits} == {(document.document_id, REVISIONS)}


async def test_what_is_reported_indexed_is_found_at_once(gyre: Gyre) -> None:
    for _ in range(5):
        mark = f"notice{uuid4().hex[:10]}"
        (document,) = await ingest(gyre, {f"{mark}.md": page(mark, 1)}, COLLECTION)
        assert document.state is DocumentState.INDEXED
        assert await found(gyre, mark)


async def test_a_deleted_document_leaves_search_and_stays_away(gyre: Gyre) -> None:
    mark = f"offer{uuid4().hex[:10]}"
    (document,) = await ingest(gyre, {f"{mark}.md": page(mark, 1)}, COLLECTION)
    assert await found(gyre, mark)
    await gyre.documents.delete(document.document_id)
    async with asyncio.timeout(150):
        while await found(gyre, mark):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    for _ in range(10):
        assert not await found(gyre, mark)
    assert (await gyre.documents.get(document.document_id)).state is DocumentState.DELETED


async def test_a_document_that_was_deleted_can_come_back(gyre: Gyre) -> None:
    mark = f"return{uuid4().hex[:10]}"
    (first,) = await ingest(gyre, {f"{mark}.md": page(mark, 1)}, COLLECTION)
    await gyre.documents.delete(first.document_id)
    await settled(gyre, {first.document_id}, COLLECTION)
    (again,) = await ingest(gyre, {f"{mark}.md": page(mark, 2)}, COLLECTION)
    assert again.state is DocumentState.INDEXED
    assert {hit.revision for hit in await found(gyre, mark)} == {again.revision}
