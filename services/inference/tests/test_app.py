"""The whole service as it is built, with the bus in memory and a real database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
import sqlalchemy as sa
from gyre.inference.v1 import events_pb2, service_pb2, service_pb2_grpc
from gyre_inference.adapters.registry import DatabaseRegistry
from gyre_inference.adapters.tables import MIGRATIONS, metadata
from gyre_inference.app import build
from gyre_inference.settings import Settings
from gyre_runtime.bus import Bus
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database
from inference_world import World, until


async def test_an_answer_that_was_given_is_on_the_bus_with_its_id(
    world: World, tmp_path: Path
) -> None:
    settings = Settings(grpc_address="127.0.0.1:0", metrics_port=0, stop_timeout=1)
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/inference.db", metadata)
    exchange = MemoryExchange()
    service = build(
        settings,
        search=world.search,
        vectors=world.vectors,
        model=world.model,
        database=database,
        bus=Bus(settings, "inference", database=database, link=MemoryLink(exchange)),
    )
    await service.start()
    try:
        done = await answer(service.rpc.port)
        await until(lambda: exchange.messages)
    finally:
        await service.stop()
    (message,) = exchange.messages
    assert message.subject == "gyre.inference.v1.answer_generated.demo"
    record = events_pb2.AnswerGenerated.FromString(message.data).record
    assert record.completion == done.text
    assert message.headers["ce-subject"] == record.answer_id


async def answer(port: int) -> service_pb2.AnswerDone:
    metadata = (("authorization", "Bearer gyre-dev-key"),)
    request = service_pb2.AnswerRequest(question="How many cents does a megabyte cost outside?")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = service_pb2_grpc.InferenceServiceStub(channel).Answer(
            request, timeout=10, metadata=metadata
        )
        return [reply async for reply in call][-1].done


async def test_without_its_neighbours_the_service_starts_and_says_who_is_missing(
    tmp_path: Path,
) -> None:
    settings = Settings(
        grpc_address="127.0.0.1:0",
        metrics_port=0,
        retrieval_address="127.0.0.1:1",
        retrieval_timeout=2,
        stop_timeout=1,
    )
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/inference.db", metadata)
    link = MemoryLink(MemoryExchange())
    bus = Bus(settings, "inference", database=database, link=link)
    service = build(settings, database=database, bus=bus)
    await service.start()
    try:
        with pytest.raises(grpc.aio.AioRpcError) as down:
            await answer(service.rpc.port)
    finally:
        await asyncio.wait_for(service.stop(), 10)
    assert down.value.code() in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    )
    assert "search" in str(down.value.details())


async def test_a_database_of_the_release_before_goes_on(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/inference.db"
    for database in (
        Database(url, sa.MetaData()),
        *(Database(url, metadata, migrations=MIGRATIONS) for _ in range(2)),
    ):
        await database.start()
        await database.stop()
    await database.start()
    assert await DatabaseRegistry(database).revision() == 0
    await database.stop()
