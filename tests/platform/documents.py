"""Documents in, until each is settled: what a test or a measurement does first."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from gyre_client import Document, Gyre

UPLOADS_AT_ONCE = 8
PATIENCE = 300.0


async def ingest(gyre: Gyre, contents: Mapping[str, bytes], collection: str) -> list[Document]:
    """Uploads `contents` by name; returns their documents when all are indexed or rejected.

    Raises GyreError where one is not accepted, TimeoutError after five minutes.
    """
    gate = asyncio.Semaphore(UPLOADS_AT_ONCE)

    async def upload(name: str, content: bytes) -> str:
        async with gate:
            done = await gyre.documents.upload(content, source_uri=name, collection=collection)
            return done.document.document_id

    names = await asyncio.gather(*(upload(name, one) for name, one in contents.items()))
    return await settled(gyre, set(names), collection)


async def settled(gyre: Gyre, document_ids: Collection[str], collection: str) -> list[Document]:
    """Waits until each of them is indexed, rejected or deleted."""
    found: dict[str, Document] = {}
    async with asyncio.timeout(PATIENCE):
        async for one in gyre.documents.watch(collection=collection, document_ids=document_ids):
            found.pop(one.document_id, None)
            if one.state.settled:
                found[one.document_id] = one
            if len(found) == len(document_ids):
                break
    return list(found.values())
