"""A real nats-server per test, provisioned with a short ack_wait, and services to run on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import nats
import pytest
import sqlalchemy as sa
from gyre.ingestion.v1.events_pb2 import DocumentChunked
from gyre_local.nats import NatsServer, NatsSettings
from gyre_provisioner.bus import BusPart
from gyre_provisioner.topology import read_topology
from gyre_runtime.bus import Bus, Listeners
from gyre_runtime.bus.redrive import dead_letters
from gyre_runtime.database import Database
from gyre_runtime.events.letters import DeadLetter
from gyre_runtime.settings import RuntimeSettings
from nats.js import JetStreamContext

ACK_WAIT = 2.0
PATIENCE = 150.0


class World:
    """One bus and the services that a test starts on it."""

    def __init__(self, server: NatsServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.settings = RuntimeSettings(nats_url=server.url, stop_timeout=5)
        self.fatal: list[str] = []
        self._databases: list[Database] = []
        self._buses: list[Bus] = []
        self._client: Any = None

    @property
    def jetstream(self) -> JetStreamContext:
        found: JetStreamContext = self._client.jetstream()
        return found

    async def provision(self) -> None:
        self._client = await nats.connect(self.server.url, max_reconnect_attempts=-1)
        plan = read_topology()
        short = tuple(
            consumer.model_copy(update={"ack_wait": ACK_WAIT}) for consumer in plan.consumers
        )
        short_plan = plan.model_copy(update={"consumers": short})
        await BusPart(self.jetstream, short_plan).repair(only_missing=False)

    async def database(self, name: str, *tables: Callable[[sa.MetaData], Any]) -> Database:
        metadata = sa.MetaData()
        for table in tables:
            table(metadata)
        database = Database(f"sqlite+aiosqlite:///{self.folder / name}.db", metadata)
        await database.start()
        self._databases.append(database)
        return database

    async def bus(
        self,
        service: str,
        listeners: Listeners | None = None,
        database: Database | None = None,
        **settings: Any,
    ) -> Bus:
        chosen = self.settings.model_copy(update=settings)
        bus = Bus(chosen, service, database=database, fatal=self.fatal.append)
        if listeners:
            bus.include(listeners)
        await bus.start()
        self._buses.append(bus)
        return bus

    async def dead_letters(self, count: int) -> list[DeadLetter]:
        await eventually(lambda: self._count_dead(count))
        return [letter async for letter in dead_letters(self.jetstream)]

    async def _count_dead(self, count: int) -> bool:
        return (await self.jetstream.stream_info("DEADLETTERS")).state.messages >= count

    async def drained(self, durable: str, stream: str = "INGESTION", *, held: int = 1) -> None:
        """Waits until the stream holds so many messages and nothing is pending."""

        async def nothing_left() -> bool:
            try:
                state = (await self.jetstream.stream_info(stream)).state
                info = await self.jetstream.consumer_info(stream, durable)
            except nats.errors.TimeoutError:  # a broker that was killed swallows a question
                return False
            return state.messages >= held and not info.num_pending and not info.num_ack_pending

        await eventually(nothing_left)

    async def close(self) -> None:
        for bus in self._buses:
            await bus.stop()
        for database in self._databases:
            await database.stop()
        if self._client is not None:
            await self._client.close()


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], patience: float = PATIENCE
) -> None:
    """Waits for what must come true; a slow machine only makes it later."""
    async with asyncio.timeout(patience):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.05)


def effects_table(metadata: sa.MetaData) -> sa.Table:
    """Without a key, so that a doubled effect is seen."""
    return sa.Table("effects", metadata, sa.Column("part", sa.Integer, nullable=False))


async def effects(database: Database) -> list[int]:
    async with database.reading() as connection:
        found = await connection.scalars(sa.select(database.metadata.tables["effects"].c.part))
        return sorted(found)


async def apply_effect(database: Database, event: DocumentChunked) -> None:
    async with database.transaction() as transaction:
        table = database.metadata.tables["effects"]
        await transaction.connection.execute(table.insert().values(part=event.part_index))


@pytest.fixture
def toolbox() -> Any:
    """Helpers of this file for the tests beside it."""

    class Toolbox:
        effects_table = staticmethod(effects_table)
        effects = staticmethod(effects)
        apply_effect = staticmethod(apply_effect)
        eventually = staticmethod(eventually)

    return Toolbox


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with NatsServer(NatsSettings(tmp_path / "nats")) as server:
        made = World(server, tmp_path)
        await made.provision()
        try:
            yield made
        finally:
            await made.close()
