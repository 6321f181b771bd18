"""The bus in memory keeps what the code relies on, with the same wrapper as on NATS."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from gyre.ingestion.v1.events_pb2 import DocumentChunked, DocumentReceived
from gyre_runtime.bus import Bus, Listeners, NotPublished, PermanentError
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database
from gyre_runtime.settings import RuntimeSettings


@pytest.fixture
def exchange() -> MemoryExchange:
    return MemoryExchange()


@pytest.fixture
async def start(exchange):
    started = []

    async def make(service: str, listeners: Listeners | None, database: Database | None) -> Bus:
        if database is not None:
            await database.start()
            started.append(database)
        link = MemoryLink(exchange)
        bus = Bus(RuntimeSettings(), service, database=database, link=link)
        if listeners:
            bus.include(listeners)
        await bus.start()
        started.append(bus)
        return bus

    yield make
    for each in reversed(started):
        await each.stop()


def in_memory() -> Database:
    return Database("sqlite+aiosqlite://", sa.MetaData())


async def test_an_event_goes_from_an_outbox_through_two_services(exchange, start):
    heard: list[int] = []
    received, chunked = Listeners("ingestion"), Listeners("embedding")
    ingestion = in_memory()

    @received.on(DocumentReceived)
    async def on_document_received(event, delivery):
        async with ingestion.transaction() as transaction:
            for part in range(3):
                chunk = DocumentChunked(part_index=part)
                transaction.say(chunk, tenant=delivery.tenant, entity_id="d")

    @chunked.on(DocumentChunked, concurrency=2)
    async def on_document_chunked(event, delivery):
        heard.append(event.part_index)

    await start("ingestion", received, ingestion)
    await start("embedding", chunked, None)
    async with ingestion.transaction() as transaction:
        transaction.say(DocumentReceived(), tenant="acme", entity_id="d")
    async with asyncio.timeout(150):
        while len(heard) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert sorted(heard) == [0, 1, 2]


async def test_a_repeated_id_is_dropped(exchange, start):
    bus = await start("ingestion", None, None)
    for _ in range(3):
        await bus.publish(DocumentChunked(), tenant="acme", entity_id="d", cause="c")
    assert len(exchange.messages) == 1


async def test_a_failed_event_comes_again_and_a_permanent_error_is_set_aside(exchange, start):
    attempts: list[tuple[int, int]] = []
    listeners = Listeners("embedding")

    @listeners.on(DocumentChunked)
    async def on_document_chunked(event, delivery):
        attempts.append((event.part_index, delivery.attempt))
        if event.part_index == 1 and delivery.attempt == 1:
            raise ConnectionError
        if event.part_index == 2:
            raise PermanentError("no_good", "")

    bus = await start("embedding", listeners, in_memory())
    for part in (1, 2):
        event = DocumentChunked(part_index=part)
        await bus.publish(event, tenant="acme", entity_id="d", cause="c")
    await exchange.settled()
    assert sorted(attempts) == [(1, 1), (1, 2), (2, 1)]
    assert [letter.headers["gyre-reason"] for letter in exchange.dead_letters] == ["no_good"]


async def test_while_the_bus_is_away_nothing_is_published(exchange, start):
    bus = await start("ingestion", None, None)
    exchange.away = True
    with pytest.raises(NotPublished):
        await bus.publish(DocumentChunked(), tenant="acme", entity_id="d", cause="c")


async def test_there_is_no_object_store_in_memory(start):
    bus = await start("ingestion", None, None)
    with pytest.raises(RuntimeError, match="memory adapter"):
        _ = bus.jetstream
