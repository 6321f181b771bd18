"""Limits reached: the surplus is refused before it is accepted, what was accepted is kept."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

import pytest
from gyre.ingestion.v1.events_pb2 import DocumentDeleted, DocumentReceived
from gyre_client import Gyre, GyreError, OverloadedError
from gyre_local.settings import LocalSettings
from nats.js import JetStreamContext

from tests.chaos.actors import UNREADABLE
from tests.platform import ledger
from tests.platform.documents import settled
from tests.platform.running import RunningPlatform

pytestmark = pytest.mark.models
Revised = TypeVar("Revised", DocumentReceived, DocumentDeleted)
ROOM, OUTBOX = 8, 10
BUS_BYTES, ORIGINAL = 6_000_000, 500_000
PATIENCE = 180.0


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    """A bus and an ingestion with little room."""
    if not (LocalSettings().models_environment / "bin" / "python").exists():
        pytest.skip("needs the model server's environment: `make setup`")
    limits = {
        "GYRE_GRPC_CONCURRENT_RPCS": str(ROOM),
        "GYRE_OUTBOX_LIMIT": str(OUTBOX),
        "GYRE_NATS_MAX_FILE_STORE": str(BUS_BYTES),
    }
    programs = ("nats", "provisioner", "ingestion")
    platform = RunningPlatform(
        tmp_path_factory.mktemp("narrow") / "state", only=programs, settings=limits
    )
    try:
        platform.start()
        yield platform
    finally:
        platform.stop()


@pytest.fixture
async def gyre(narrow: RunningPlatform) -> AsyncIterator[Gyre]:
    async with narrow.client() as gyre:
        yield gyre


@pytest.fixture
async def jetstream(narrow: RunningPlatform) -> AsyncIterator[JetStreamContext]:
    async with narrow.bus() as jetstream:
        yield jetstream


async def upload(gyre: Gyre, collection: str, name: str, size: int = 0) -> str:
    """Returns the document's id. The content is no text: nothing but its reading follows."""
    uploaded = await gyre.documents.upload(
        UNREADABLE + secrets.token_bytes(size), source_uri=name, collection=collection
    )
    return uploaded.document.document_id


async def listed(gyre: Gyre, collection: str) -> list[str]:
    return sorted([one.document_id async for one in gyre.documents.list(collection=collection)])


async def said(jetstream: JetStreamContext, event: type[Revised], collection: str) -> list[str]:
    """Ids of the collection's documents of which such events are on the bus."""
    found = ledger.of_type(await ledger.recorded(jetstream, "INGESTION"), event)
    revisions = [one.revision for _, one in found]
    return sorted(one.document_id for one in revisions if one.collection == collection)


async def sent(platform: RunningPlatform) -> None:
    """Waits until the bus has all that ingestion said."""
    async with asyncio.timeout(PATIENCE):
        while ledger.unsent(platform).get("ingestion"):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def until_refused(call: Callable[[], Awaitable[object]]) -> OverloadedError:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await call()
                await asyncio.sleep(0.2)
            except OverloadedError as refusal:
                return refusal


async def insist(call: Callable[[], Awaitable[object]]) -> None:
    """Repeats the call until it is accepted, at the pace that the refusals name."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await call()
            except OverloadedError as error:
                await asyncio.sleep(min(error.retry_after or 1.0, 1.0))
            else:
                return


async def test_ten_times_the_load_is_refused_before_it_is_accepted_and_the_rest_is_kept(
    gyre: Gyre, narrow: RunningPlatform, jetstream: JetStreamContext
) -> None:
    calls = (upload(gyre, "crowd", f"{number}.md", 20_000) for number in range(10 * ROOM))
    ends = await asyncio.gather(*calls, return_exceptions=True)
    accepted = sorted(one for one in ends if isinstance(one, str))
    refused = [one for one in ends if not isinstance(one, str)]
    assert len(accepted) >= ROOM
    statuses = {one.status for one in refused if isinstance(one, GyreError)}
    assert statuses >= {"RESOURCE_EXHAUSTED"}
    assert statuses <= {"RESOURCE_EXHAUSTED", "UNAVAILABLE"}, set(map(repr, refused))
    assert await listed(gyre, "crowd") == accepted
    await sent(narrow)
    assert await said(jetstream, DocumentReceived, "crowd") == accepted


async def test_a_full_outbox_refuses_writes_until_the_bus_is_back_and_loses_none_that_it_took(
    gyre: Gyre, narrow: RunningPlatform, jetstream: JetStreamContext
) -> None:
    documents = [await upload(gyre, "outbox", f"{number}.md") for number in range(3 * OUTBOX)]
    await settled(gyre, documents, "outbox")
    await asyncio.to_thread(narrow.hold, "nats")
    for document_id in documents[:OUTBOX]:
        await gyre.documents.delete(document_id)
    refusal = await until_refused(lambda: gyre.documents.delete(documents[OUTBOX]))
    assert "outbox is full" in refusal.detail
    assert refusal.retry_after
    narrow.release("nats")
    for document_id in documents[OUTBOX:]:
        await insist(lambda document_id=document_id: gyre.documents.delete(document_id))
    await sent(narrow)
    assert await said(jetstream, DocumentDeleted, "outbox") == sorted(documents)


async def test_a_full_disk_of_the_bus_refuses_originals_and_keeps_those_that_it_took(
    gyre: Gyre, narrow: RunningPlatform, jetstream: JetStreamContext
) -> None:
    accepted: list[str] = []

    async def one_more() -> None:
        accepted.append(await upload(gyre, "disk", f"{len(accepted)}.md", ORIGINAL))

    refusal = await until_refused(one_more)
    assert "full" in refusal.detail
    assert refusal.retry_after
    assert accepted
    assert await listed(gyre, "disk") == sorted(accepted)

    narrow.configure("nats", GYRE_NATS_MAX_FILE_STORE=str(100 * BUS_BYTES))
    await asyncio.to_thread(narrow.terminate, "nats")
    await asyncio.to_thread(narrow.wait_healthy)
    accepted.append(await upload(gyre, "disk", "room.md", ORIGINAL))
    documents = await settled(gyre, accepted, "disk")
    assert {one.rejection_reason for one in documents} == {"unsupported_format"}
    await sent(narrow)
    assert await said(jetstream, DocumentReceived, "disk") == sorted(accepted)
