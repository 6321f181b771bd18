"""The gateway's own configuration, run by a real HAProxy in front of two replicas."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import nats
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from gyre_local.nats import NatsServer, NatsSettings
from gyre_local.ports import free_port
from gyre_provisioner.bus import BusPart
from gyre_provisioner.topology import read_topology

CONFIGURATION = Path(__file__).parents[1] / "gateway.cfg"
SERVING = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
ASK = health_pb2.HealthCheckRequest()


class Replica(health_pb2_grpc.HealthServicer):
    """Counts its calls; its stream has no end of its own."""

    def __init__(self) -> None:
        self.calls = 0
        self.left = asyncio.Event()
        self.server = grpc.aio.server()
        health_pb2_grpc.add_HealthServicer_to_server(self, self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls += 1
        return SERVING

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        try:
            while True:
                yield SERVING
                await asyncio.sleep(0.01)
        finally:
            self.left.set()


async def test_calls_of_one_client_are_spread_over_replicas(tmp_path: Path) -> None:
    async with _gateway(tmp_path) as (stub, replicas):
        for _ in range(10):
            await stub.Check(ASK, timeout=60)
        assert [replica.calls for replica in replicas] == [5, 5]


async def test_a_client_that_leaves_is_noticed_by_the_replica(tmp_path: Path) -> None:
    async with _gateway(tmp_path) as (stub, replicas):
        call = stub.Watch(ASK, timeout=120)
        assert await call.read() == SERVING
        call.cancel()
        left = [asyncio.create_task(replica.left.wait()) for replica in replicas]
        done, waiting = await asyncio.wait(left, timeout=120, return_when="FIRST_COMPLETED")
        assert len(done) == 1
        assert [task.cancel() for task in waiting]


async def test_no_call_is_lost_when_a_replica_goes(tmp_path: Path) -> None:
    async with _gateway(tmp_path) as (stub, replicas):
        await replicas[0].server.stop(None)
        for _ in range(10):
            assert await stub.Check(ASK, timeout=60) == SERVING
        assert replicas[1].calls == 10


async def test_an_operator_reaches_the_bus_through_the_gateway(tmp_path: Path) -> None:
    with NatsServer(NatsSettings(tmp_path / "nats")) as bus:
        async with _haproxy(tmp_path, "nats", [bus.settings.port]) as door:
            client = await nats.connect(f"nats://127.0.0.1:{door}", max_reconnect_attempts=30)
            await BusPart(client.jetstream(), read_topology()).repair(only_missing=True)
            found = await client.jetstream().consumers_info("INGESTION")
            await client.close()
    assert "embedding-document_chunked" in {one.name for one in found}


@asynccontextmanager
async def _gateway(folder: Path) -> AsyncIterator[tuple[Any, list[Replica]]]:
    replicas = [Replica(), Replica()]
    for replica in replicas:
        await replica.server.start()
    try:
        async with (
            _haproxy(folder, "ingestion", [replica.port for replica in replicas]) as door,
            grpc.aio.insecure_channel(f"127.0.0.1:{door}") as channel,
        ):
            await asyncio.wait_for(channel.channel_ready(), 150)
            yield health_pb2_grpc.HealthStub(channel), replicas
    finally:
        for replica in replicas:
            await replica.server.stop(None)


@asynccontextmanager
async def _haproxy(folder: Path, name: str, ports: list[int]) -> AsyncIterator[int]:
    """The door of one server of the platform; its port."""
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed (Debian: apt-get install haproxy)")
    door = free_port()
    file = folder / "gateway.cfg"
    file.write_text(_for_this_machine(name, door, ports))
    process = await asyncio.create_subprocess_exec("haproxy", "-f", str(file))
    try:
        yield door
    finally:
        process.terminate()
        await process.wait()


def _for_this_machine(name: str, door: int, ports: list[int]) -> str:
    """One door; addresses of this machine in place of those that Docker's DNS gives."""
    text = CONFIGURATION.read_text().replace("127.0.0.1:8404", f"127.0.0.1:{free_port()}")
    text = re.sub(rf"^listen (?!{name})\w+\n(?:    .*\n)+", "", text, flags=re.MULTILINE)
    text = text.replace(" resolvers docker init-addr none resolve-prefer ipv4", "")
    servers = "".join(f"    server s{port} 127.0.0.1:{port}\n" for port in ports)
    text = re.sub(r"^    server-template .*\n", servers, text, flags=re.MULTILINE)
    return re.sub(r"bind :\d+", f"bind 127.0.0.1:{door}", text)
