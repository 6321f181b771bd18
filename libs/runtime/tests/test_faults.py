"""What happens when processes and the bus die, on the real server."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
import sys
from multiprocessing import forkserver
from pathlib import Path

import pytest
import sqlalchemy as sa
from gyre.embedding.v1.events_pb2 import ChunksEmbedded
from gyre.ingestion.v1.events_pb2 import DocumentChunked
from gyre_runtime.bus import Listeners
from gyre_runtime.bus.ledger import Ledger
from gyre_runtime.failures import Overloaded

# A process that has imported everything is forked: a start costs no import on a busy machine.
sys.path.insert(0, str(Path(__file__).parent))
import process_of_a_service

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["process_of_a_service"])

DURABLE = "embedding-document_chunked"
SEED = 20_261


async def say(database, *parts: int) -> None:
    async with database.transaction() as transaction:
        for part in parts:
            transaction.say(
                DocumentChunked(part_index=part), tenant="acme", entity_id="d", cause="upload"
            )


class Process:
    """The service of `process_of_a_service.py`, started anew whenever it is asked for."""

    def __init__(self, world, mode: str) -> None:
        self.file = world.folder / "service.db"
        self._arguments = (world.server.url, str(self.file), mode)
        self.process: multiprocessing.process.BaseProcess | None = None

    async def up(self) -> None:
        if self.process is None or not self.process.is_alive():
            self.process = FORKS.Process(target=process_of_a_service.run, args=self._arguments)
            await asyncio.to_thread(self.process.start)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    async def ended(self) -> int:
        await asyncio.to_thread(self.process.join, 150)
        return self.process.exitcode

    async def end(self, number: signal.Signals) -> int:
        if self.process.is_alive():
            self.signal(number)
        return await self.ended()


async def drained_by(service: Process, world, toolbox, held: int) -> None:
    """Whatever ends is started anew, as a supervisor would."""

    async def keep_up() -> None:
        while True:
            await service.up()
            await asyncio.sleep(0.2)

    keeping = asyncio.create_task(keep_up())
    await world.drained(DURABLE, held=held)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


@pytest.fixture(scope="module")
def forks():
    with pytest.MonkeyPatch.context() as patch:
        # Python 3.11's forkserver forgets sys.path, and then preloads nothing without a word.
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        forkserver.ensure_running()


@pytest.fixture
async def processes(world, forks):
    made: list[Process] = []

    def make(mode: str) -> Process:
        made.append(Process(world, mode))
        return made[-1]

    yield make
    for process in made:
        if process.process is not None:
            process.process.kill()


async def heard_by(process: Process, world, toolbox) -> list[int]:
    return await toolbox.effects(await world.database("service", toolbox.effects_table))


async def test_an_event_that_kills_the_process_is_set_aside_and_its_neighbours_are_applied(
    world, toolbox, processes
):
    service = processes("killer")
    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await say(said, *range(1, 21))

    async def set_aside() -> bool:
        await service.up()
        return (await world.jetstream.stream_info("DEADLETTERS")).state.messages > 0

    await toolbox.eventually(set_aside)
    (letter,) = await world.dead_letters(1)
    await drained_by(service, world, toolbox, 20)
    await service.end(signal.SIGTERM)
    assert letter.reason == "process_killer"
    assert letter.attempts == 3
    assert await heard_by(service, world, toolbox) == [n for n in range(1, 21) if n != 13]


async def test_kill_minus_9_of_consumer_and_broker_loses_nothing_and_doubles_nothing(
    world, toolbox, processes
):
    """The schedule is seeded: the same seed repeats the same kills."""
    dice = random.Random(SEED)
    service = processes("steady")
    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await service.up()
    parts = iter(range(200))
    for _ in range(8):
        await say(said, *(next(parts) for _ in range(25)))
        await asyncio.sleep(dice.uniform(0.3, 1.2))
        if dice.random() < 0.35:
            world.server.restart(kill=True)
        else:
            await service.end(signal.SIGKILL)
            await service.up()
    await drained_by(service, world, toolbox, 200)
    assert await service.end(signal.SIGTERM) == 0
    assert await heard_by(service, world, toolbox) == list(range(200))
    database = await world.database("service", toolbox.effects_table)
    listeners = Listeners("embedding")
    listeners.on(DocumentChunked)(lambda event, delivery: None)
    bus = await world.bus("ledger", None, None)
    balance = await Ledger(database, bus._link, listeners.subscriptions).balance(
        listeners.subscriptions[0]
    )
    assert (balance.published, balance.applied, balance.dead, balance.pending) == (200, 200, 0, 0)
    assert balance.difference == 0


async def test_kill_minus_9_leaves_every_transaction_of_a_shared_commit_whole_or_absent(
    world, toolbox, processes
):
    dice = random.Random(SEED)
    service = processes("together")
    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await say(said, *range(600))
    database = await world.database("service", toolbox.effects_table)
    for kill in range(1, 6):
        await service.up()

        async def more_applied(least: int = kill * 50) -> bool:
            return len(await toolbox.effects(database)) >= least

        await toolbox.eventually(more_applied)
        await asyncio.sleep(dice.uniform(0.0, 0.05))
        await service.end(signal.SIGKILL)
        effects = await toolbox.effects(database)
        assert len(effects) < 600
        assert await parts_said(database) == effects
        assert await count_applied(database) == len(effects)
    await drained_by(service, world, toolbox, 600)
    assert await toolbox.effects(database) == await parts_said(database) == list(range(600))


async def parts_said(database) -> list[int]:
    async with database.reading() as connection:
        bodies = await connection.scalars(sa.select(database.tables.outbox.c.body))
        return sorted(ChunksEmbedded.FromString(body).part_index for body in bodies)


async def count_applied(database) -> int:
    applied = sa.func.count(database.tables.inbox.c.applied_time)
    async with database.reading() as connection:
        return await connection.scalar(sa.select(applied))


@pytest.mark.parametrize("nats_is_up", [True, False], ids=["NATS up", "NATS down"])
async def test_a_process_told_to_stop_under_load_ends_its_work_and_exits_with_0(
    world, toolbox, processes, nats_is_up
):
    service = processes("slow")
    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await service.up()
    await say(said, *range(40))
    database = await world.database("service", toolbox.effects_table)

    async def some_applied() -> bool:
        return len(await toolbox.effects(database)) >= 4

    await toolbox.eventually(some_applied)
    if not nats_is_up:
        world.server.kill()
    assert await service.end(signal.SIGTERM) == 0
    if not nats_is_up:
        world.server.start()
    await service.up()
    await world.drained(DURABLE, held=40)
    assert await toolbox.effects(database) == list(range(40))


async def test_a_process_paused_longer_than_ack_wait_doubles_nothing(world, toolbox, processes):
    service, other = processes("slow"), processes("slow")
    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await service.up()
    await say(said, *range(20))
    database = await world.database("service", toolbox.effects_table)

    async def some_applied() -> bool:
        return len(await toolbox.effects(database)) >= 2

    await toolbox.eventually(some_applied)
    service.signal(signal.SIGSTOP)
    await other.up()
    await asyncio.sleep(4)  # ack_wait is 2 s
    service.signal(signal.SIGCONT)
    await world.drained(DURABLE, held=20)
    assert await toolbox.effects(database) == list(range(20))


async def test_a_process_whose_event_loop_stands_still_ends_with_70(processes):
    service = processes("stall")
    await service.up()
    assert await service.ended() == 70


async def test_what_is_said_while_the_bus_is_away_arrives_when_it_is_back(world, toolbox):
    heard: list[int] = []
    listeners = Listeners("embedding")

    @listeners.on(DocumentChunked)
    async def on_document_chunked(event, delivery):
        heard.append(event.part_index)

    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await world.bus("embedding", listeners, await world.database("heard"))
    world.server.kill()
    await say(said, *range(30))
    assert await said.count_unsent(100) == 30
    world.server.start()
    await world.drained(DURABLE, held=30)
    assert sorted(heard) == list(range(30))


async def test_a_service_starts_while_the_bus_is_away_and_hears_when_it_comes(world, toolbox):
    heard: list[int] = []
    listeners = Listeners("embedding")

    @listeners.on(DocumentChunked)
    async def on_document_chunked(event, delivery):
        heard.append(event.part_index)

    world.server.kill()
    said = await world.database("said")
    await world.bus("ingestion", listeners, said)
    await say(said, 1)
    world.server.start()
    await world.drained(DURABLE)
    assert heard == [1]


async def test_callers_are_refused_before_the_outbox_overflows_and_accepted_again_after(
    world, toolbox
):
    said = await world.database("said")
    world.server.kill()
    await world.bus("ingestion", None, said, outbox_limit=10)
    await say(said, *range(10))
    await toolbox.eventually(lambda: said.refusal is not None)
    with pytest.raises(Overloaded) as refused:
        await say(said, 99)
    assert refused.value.quota == "outbox"
    assert refused.value.retry_after > 0
    world.server.start()
    await toolbox.eventually(lambda: said.refusal is None)
    await say(said, 11)


async def test_callers_are_refused_when_the_disk_is_too_full(world, toolbox):
    said = await world.database("said")
    await world.bus("ingestion", None, said, disk_limit=0.0)
    await toolbox.eventually(lambda: said.refusal is not None)
    with pytest.raises(Overloaded, match="disk"):
        await say(said, 1)


async def test_a_consumer_that_vanished_ends_the_process(world, toolbox):
    listeners = Listeners("embedding")
    listeners.on(DocumentChunked)(lambda event, delivery: None)
    await world.bus("embedding", listeners, None)
    await world.jetstream.delete_consumer("INGESTION", DURABLE)
    await toolbox.eventually(lambda: bool(world.fatal))
    assert "gyre_provisioner" in world.fatal[0]


async def test_a_connection_closed_for_good_ends_the_process(world, toolbox):
    listeners = Listeners("embedding")
    listeners.on(DocumentChunked)(lambda event, delivery: None)
    bus = await world.bus("embedding", listeners, None)
    await bus.jetstream._nc.close()
    await toolbox.eventually(lambda: bool(world.fatal))
    assert "closed" in world.fatal[0]


async def test_an_event_lost_behind_the_services_back_shows_in_the_ledger(world, toolbox):
    heard = await world.database("heard")
    listeners = Listeners("embedding")

    @listeners.on(DocumentChunked)
    async def on_document_chunked(event, delivery):
        return None

    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await say(said, 1)
    thief = await world.jetstream.pull_subscribe_bind(DURABLE, "INGESTION")
    (stolen,) = await thief.fetch(1, timeout=20)
    await stolen.ack_sync(timeout=20)
    await thief.unsubscribe()
    bus = await world.bus("embedding", listeners, heard)
    await say(said, 2, 3)
    await world.drained(DURABLE, held=3)
    balance = await Ledger(heard, bus._link, listeners.subscriptions).balance(
        listeners.subscriptions[0]
    )
    assert (balance.published, balance.applied, balance.difference) == (3, 2, 1)
