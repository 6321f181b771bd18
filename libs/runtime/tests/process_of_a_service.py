"""A service of its own process, to be killed."""

from __future__ import annotations

import asyncio
import os
import time

import sqlalchemy as sa
from gyre.embedding.v1.events_pb2 import ChunksEmbedded
from gyre.ingestion.v1.events_pb2 import DocumentChunked
from gyre_runtime.bus import Bus, Listeners
from gyre_runtime.database import Database
from gyre_runtime.process import Service
from gyre_runtime.rpc import RpcServer
from gyre_runtime.settings import RuntimeSettings

KILLER = 13
PAUSES = {"slow": 0.3, "together": 0.0}


def build(url: str, file: str, mode: str) -> Service:
    settings = RuntimeSettings(nats_url=url, stop_timeout=15, stall_timeout=8)
    metadata = sa.MetaData()
    table = sa.Table("effects", metadata, sa.Column("part", sa.Integer, nullable=False))
    database = Database(f"sqlite+aiosqlite:///{file}", metadata)
    listeners = Listeners("embedding")

    @listeners.on(DocumentChunked, concurrency=16 if mode == "together" else 4)
    async def on_document_chunked(event: DocumentChunked, delivery: object) -> None:
        if mode == "killer" and event.part_index == KILLER:
            os._exit(9)
        await asyncio.sleep(PAUSES.get(mode, 0.02))
        async with database.transaction() as transaction:
            await transaction.connection.execute(table.insert().values(part=event.part_index))
            heard = ChunksEmbedded(part_index=event.part_index)
            transaction.say(heard, tenant="acme", entity_id="d")

    bus = Bus(settings, "embedding", database=database)
    bus.include(listeners)
    background = [_stall] if mode == "stall" else []
    rpc = RpcServer(settings, service="embedding")
    return Service(
        settings, "embedding", bus=bus, rpc=rpc, database=database, background=background
    )


async def _stall() -> None:
    await asyncio.sleep(0.5)
    time.sleep(3600)  # noqa: ASYNC251  that is what the watchdog is for


def run(url: str, file: str, mode: str) -> None:
    """To be called in a process of its own."""

    async def serve() -> None:
        await build(url, file, mode).run()

    asyncio.run(serve())
