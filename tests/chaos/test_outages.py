"""Servers away and back, services told to stop: what was accepted comes through by itself.

In a long run (GYRE_CHAOS_SECONDS) the bus waits for a paused service as long as in production.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from gyre_client import ChatMessage, Gyre, TimedOutError, UnavailableError
from gyre_local.platform import SERVICES
from nats.js import JetStreamContext

from tests.chaos import check
from tests.chaos.actors import Asker, Author, Noted
from tests.chaos.patience import deliveries, short_ack_wait, usual_ack_wait
from tests.platform import ledger
from tests.platform.running import RunningPlatform

pytestmark = pytest.mark.models
TENANT = "acme"
DEADLINE = 30.0
TRIES = 20
# How the bus is made to wait for a service, and for how much longer the service is paused.
PATIENCE, BEYOND = (
    (usual_ack_wait, 30.0) if "GYRE_CHAOS_SECONDS" in os.environ else (short_ack_wait, 1.0)
)


@pytest.fixture
async def gyre(platform: RunningPlatform) -> AsyncIterator[Gyre]:
    async with platform.client(TENANT, timeout=DEADLINE) as gyre:
        yield gyre


@pytest.fixture(autouse=True)
async def _no_new_letters(jetstream: JetStreamContext, letters_before: int) -> AsyncIterator[None]:
    yield
    assert await ledger.recorded(jetstream, "DEADLETTERS", after=letters_before) == []


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
def author(gyre: Gyre, noted: Noted, request: pytest.FixtureRequest) -> Author:
    name = request.node.name.removeprefix("test_")[:16].replace("_", "")
    return Author(gyre, (TENANT, name), name, request.node.name, noted)


@pytest.fixture
def asker(gyre: Gyre, author: Author, noted: Noted) -> Asker:
    return Asker(gyre, author.collection, "asker", noted)


@asynccontextmanager
async def away(platform: RunningPlatform, name: str) -> AsyncIterator[None]:
    """kill -9, away inside of the block, and healthy again when it is left."""
    await asyncio.to_thread(platform.hold, name)
    try:
        yield
    finally:
        platform.release(name)
        await asyncio.to_thread(platform.wait_healthy)


@asynccontextmanager
async def busy(author: Author, asker: Asker) -> AsyncIterator[None]:
    """People write and ask inside of the block; what they began is finished when it is left."""
    stopped = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(author.write(stopped, pause=0.2))
        group.create_task(asker.ask([author], stopped, pause=0.2))
        try:
            yield
        finally:
            stopped.set()


async def upload(author: Author, count: int, prefix: str) -> None:
    for number in range(count):
        await author.upload(f"{prefix}-{number}.md", "uploads")


async def all_is_well(
    platform: RunningPlatform, jetstream: JetStreamContext, gyre: Gyre, author: Author
) -> None:
    await ledger.drained(platform, jetstream)
    await check.check_documents(gyre, author)
    await check.check_list(gyre, [author])
    await check.check_search(gyre, author, sample=3)
    await check.check_balances(platform, jetstream)
    assert await ledger.unfaithful_outboxes(platform, jetstream) == {}
    await check.check_milvus(platform, jetstream, [author])


async def test_without_nats_deletions_and_answers_go_on_and_reach_the_bus_afterwards(
    platform: RunningPlatform,
    jetstream: JetStreamContext,
    gyre: Gyre,
    author: Author,
    asker: Asker,
    noted: Noted,
) -> None:
    await upload(author, 4, "before")
    await ledger.drained(platform, jetstream)
    async with away(platform, "nats"):
        await author.delete("before-0.md")
        await asker.ask_once("before-1.md")
        with pytest.raises(UnavailableError, match="object store"):
            await gyre.documents.upload(b"An original needs the bus.", source_uri="refused.md")
        assert set(ledger.unsent(platform)) == {"ingestion", "inference"}
    assert len(noted.answers) == 1
    await all_is_well(platform, jetstream, gyre, author)
    await check.check_answers(jetstream, noted)


async def test_a_restart_of_nats_under_load_loses_nothing(
    platform: RunningPlatform,
    jetstream: JetStreamContext,
    gyre: Gyre,
    author: Author,
    asker: Asker,
    noted: Noted,
) -> None:
    async with busy(author, asker):
        await asyncio.sleep(2)
        await asyncio.to_thread(platform.terminate, "nats")
        await asyncio.to_thread(platform.wait_healthy, ["nats"])
        await asyncio.sleep(3)
    await all_is_well(platform, jetstream, gyre, author)
    await check.check_answers(jetstream, noted)


async def test_without_milvus_uploads_wait_and_search_says_unavailable_in_time(
    platform: RunningPlatform, jetstream: JetStreamContext, gyre: Gyre, author: Author
) -> None:
    await upload(author, 2, "before")
    await ledger.drained(platform, jetstream)
    async with away(platform, "milvus"):
        await upload(author, 4, "during")
        await author.upload("before-0.md", "updates")
        for mode in ("dense", "lexical", "hybrid"):
            with pytest.raises(UnavailableError, match="vector database"):
                await gyre.search("tariff", collection=author.collection, mode=mode)
    await all_is_well(platform, jetstream, gyre, author)


async def test_dead_model_processes_are_told_apart_healed_and_nothing_waits_for_ever(
    platform: RunningPlatform,
    jetstream: JetStreamContext,
    gyre: Gyre,
    author: Author,
    asker: Asker,
    noted: Noted,
) -> None:
    await upload(author, 2, "before")
    await ledger.drained(platform, jetstream)
    stubs = platform.children("triton")
    assert len(stubs) == 3
    for stub in stubs:
        os.kill(stub, signal.SIGKILL)

    async def generate() -> None:
        async for _ in gyre.generate([ChatMessage("user", "Hello?")], timeout=DEADLINE):
            pass

    # At once: the supervisor heals the models meanwhile.
    search = gyre.search("tariff", collection=author.collection, mode="dense")
    ends = await asyncio.gather(
        search, generate(), upload(author, 2, "during"), return_exceptions=True
    )
    assert all(isinstance(one, UnavailableError | TimedOutError) for one in ends[:2]), ends
    assert ends[2] is None
    await ledger.drained(platform, jetstream)
    await asyncio.to_thread(platform.wait_healthy)
    assert not set(stubs) & set(platform.children("triton"))
    await all_is_well(platform, jetstream, gyre, author)
    await asker.ask_once("during-1.md")
    assert len(noted.answers) == 1, noted.unanswered


async def test_a_service_told_to_stop_under_load_ends_its_work_and_exits_with_0(
    platform: RunningPlatform,
    jetstream: JetStreamContext,
    gyre: Gyre,
    author: Author,
    asker: Asker,
    noted: Noted,
) -> None:
    async with busy(author, asker):
        for service in SERVICES:
            await asyncio.sleep(1)
            async with asyncio.timeout(30):
                assert await asyncio.to_thread(platform.terminate, service) == 0, service
            await asyncio.to_thread(platform.wait_healthy)
    await all_is_well(platform, jetstream, gyre, author)
    await check.check_answers(jetstream, noted)


async def test_services_told_to_stop_while_nats_is_away_exit_with_0_all_the_same(
    platform: RunningPlatform,
    jetstream: JetStreamContext,
    gyre: Gyre,
    author: Author,
    asker: Asker,
    noted: Noted,
) -> None:
    await upload(author, 3, "before")
    async with busy(author, asker):
        await asyncio.sleep(1)
        async with away(platform, "nats"):
            ends = (asyncio.to_thread(platform.terminate, service) for service in SERVICES)
            async with asyncio.timeout(30):
                assert set(await asyncio.gather(*ends)) == {0}
    await all_is_well(platform, jetstream, gyre, author)
    await check.check_answers(jetstream, noted)


@pytest.mark.parametrize("consumer", ["embedding-document_chunked", "retrieval-chunks_embedded"])
async def test_a_service_paused_for_longer_than_the_bus_waits_hears_again_and_applies_once(
    platform: RunningPlatform,
    jetstream: JetStreamContext,
    gyre: Gyre,
    author: Author,
    consumer: str,
) -> None:
    before = await deliveries(jetstream, consumer)
    async with PATIENCE(jetstream, consumer) as ack_wait:
        for _ in range(TRIES):
            with platform.paused(consumer.partition("-")[0]):
                await upload(author, 3, "paused")
                if held := await given(jetstream, consumer, before):
                    await asyncio.sleep(ack_wait + BEYOND)
            await all_is_well(platform, jetstream, gyre, author)
            if held:
                break
            before = await deliveries(jetstream, consumer)
        assert held
    assert await deliveries(jetstream, consumer) > before + 3


async def given(jetstream: JetStreamContext, consumer: str, before: int) -> bool:
    """Whether the bus has sent a message to the service that is paused: what comes after the
    service's last request ran out (five seconds) waits for the next one."""
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline:
        if await deliveries(jetstream, consumer) > before:
            return True
        await asyncio.sleep(0.05)
    return False
