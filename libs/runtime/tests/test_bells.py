"""A bell rings in every process that listens, where a listener's event reaches one of them."""

from __future__ import annotations

from gyre.ingestion.v1.events_pb2 import DocumentChunked, DocumentDeleted
from gyre_runtime.bus import Bus, NotPublished
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.settings import RuntimeSettings


async def publish(bus: Bus, tenant: str) -> None:
    event = DocumentChunked(part_index=1)
    await bus.publish(event, tenant=tenant, entity_id="d", cause=tenant)


async def published_again(bus: Bus) -> bool:
    try:
        await publish(bus, "globex")
    except NotPublished:  # the connection is not back yet
        return False
    return True


async def test_every_process_is_rung_for_every_tenant_and_again_after_the_bus_was_away(
    world, toolbox
):
    rung = {"one": 0, "two": 0}
    buses = []
    for name in rung:
        bus = Bus(world.settings, "embedding", fatal=world.fatal.append)

        def ring(name: str = name) -> None:
            rung[name] += 1

        bus.listen(DocumentChunked, ring)
        bus.listen(DocumentDeleted, ring)
        await bus.start()
        buses.append(bus)
    await publish(buses[0], "acme")
    await toolbox.eventually(lambda: rung == {"one": 1, "two": 1})
    world.server.stop()
    world.server.start()

    async def rung_again() -> bool:  # whoever is not connected yet misses a bell
        return await published_again(buses[1]) and min(rung.values()) >= 2

    await toolbox.eventually(rung_again)
    for bus in buses:
        await bus.stop()


async def test_the_bus_in_memory_rings_too_until_it_is_stopped():
    exchange, rung = MemoryExchange(), []
    bus = Bus(RuntimeSettings(), "embedding", link=MemoryLink(exchange))
    bus.listen(DocumentChunked, lambda: rung.append(1))
    await bus.start()
    await publish(bus, "acme")
    await bus.stop()
    await publish(bus, "globex")
    assert rung == [1]
