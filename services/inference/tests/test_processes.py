"""Two processes of the service on a real bus: a moved label is in force in both."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import nats
import pytest
from gyre_client import ClientSettings, Gyre
from gyre_client.chains import ChainDone, StepDone
from gyre_client.errors import GyreError
from gyre_local.nats import NatsServer, NatsSettings
from gyre_local.ports import free_port
from gyre_provisioner.bus import BusPart
from gyre_provisioner.topology import read_topology

SAYS = """
name: says
steps:
  - name: never
    guard: {{that: "no", otherwise: "{text}"}}
"""
TWO_CALLS = """
name: calls
inputs: {port: }
steps:
  - name: first
    http: {url: "http://localhost:{{ port }}/first"}
  - name: second
    http: {url: "http://localhost:{{ port }}/second", seconds: 60}
"""
RUN = "0190b5a6-0000-7000-8000-000000000001"
PATIENCE = 60.0
HOURLY = "3600"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer(NatsSettings(tmp_path / "nats")) as started:
        yield started


async def provision(server: NatsServer) -> None:
    client = await nats.connect(server.url)
    await BusPart(client.jetstream(), read_topology()).repair(only_missing=False)
    await client.close()


class Process(Gyre):
    """A client of a process that can be killed."""

    kill: Callable[[], None]


@asynccontextmanager
async def process(folder: Path, nats_url: str, poll: str) -> AsyncIterator[Process]:
    """A process of its own, and a client of it."""
    port = free_port()
    environment = {
        **os.environ,
        "GYRE_NATS_URL": nats_url,
        "GYRE_GRPC_ADDRESS": f"127.0.0.1:{port}",
        "GYRE_METRICS_PORT": "0",
        "GYRE_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/inference.db",
        "GYRE_REGISTRY_POLL": poll,
        "GYRE_CHAIN_HTTP_HOSTS": '["localhost"]',
        "GYRE_CHAIN_HTTP_PRIVATE": "true",
    }
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gyre_inference",
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with Process(ClientSettings(inference_address=f"127.0.0.1:{port}")) as client:
            client.kill = started.kill
            yield client
    finally:
        with suppress(ProcessLookupError):
            started.terminate()
        await started.wait()


async def says(gyre: Gyre) -> str:
    events = [event async for event in gyre.chains.run("says", {})]
    assert isinstance(events[-1], ChainDone)
    return events[-1].text


async def until_it_says(gyre: Gyre, text: str) -> float:
    """Seconds that it took."""
    begin = time.monotonic()
    async with asyncio.timeout(PATIENCE):
        while await says(gyre) != text:  # noqa: ASYNC110 - nothing tells when it is so
            await asyncio.sleep(0.01)
    return time.monotonic() - begin


async def ready(gyre: Gyre) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await gyre.chains.get("answer")
            except Exception:
                await asyncio.sleep(0.1)
            else:
                return


@asynccontextmanager
async def two(folder: Path, nats_url: str, poll: str) -> AsyncIterator[tuple[Process, Process]]:
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(process(folder, nats_url, poll))
        await ready(here)
        there = await stack.enter_async_context(process(folder, nats_url, poll))
        await ready(there)
        yield here, there


async def move_back_and_forth(here: Gyre, there: Gyre, how: str) -> None:
    for text in ("one", "two"):
        await here.chains.register(SAYS.format(text=text))
    assert await until_it_says(there, "one") >= 0
    took = []
    for version, text in (("2", "two"), ("1", "one"), ("2", "two")):
        await here.chains.promote("says", version)
        assert await says(here) == text  # where it was moved it is in force when the call returns
        took.append(await until_it_says(there, text))
    print(f"moved labels, {how}: in force elsewhere after", [f"{one:.3f} s" for one in took])


async def test_a_moved_label_is_heard_by_every_process(tmp_path: Path, server: NatsServer) -> None:
    await provision(server)
    async with two(tmp_path, server.url, poll=HOURLY) as (here, there):
        await move_back_and_forth(here, there, "heard")


async def test_while_the_bus_is_away_a_moved_label_is_found_by_looking(tmp_path: Path) -> None:
    async with two(tmp_path, "nats://127.0.0.1:1", poll="0.5") as (here, there):
        await move_back_and_forth(here, there, "looked for")


async def test_a_run_whose_process_was_killed_goes_on_in_another_one(
    tmp_path: Path, server: NatsServer
) -> None:
    await provision(server)
    heard: list[tuple[str, str]] = []
    stuck = asyncio.Event()

    async def tool(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        path = head.split()[1]
        heard.append((path, head.split("idempotency-key: ")[1].splitlines()[0]))
        if path == "/second" and len(heard) == 2:
            stuck.set()
            await asyncio.Event().wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    tools = await asyncio.start_server(tool, "localhost", 0)
    inputs = {"port": tools.sockets[0].getsockname()[1]}
    async with two(tmp_path, server.url, poll="0.5") as (here, there):
        await here.chains.register(TWO_CALLS)
        running = asyncio.create_task(run_to_its_end(here, inputs))
        await asyncio.wait_for(stuck.wait(), PATIENCE)
        here.kill()
        with pytest.raises(GyreError):
            await running
        assert (await there.chains.get_run(RUN)).state == "open"
        resumed = await until_it_goes_on(there, inputs)
        assert resumed == {"first": True, "second": False}
        assert (await there.chains.get_run(RUN)).state == "done"
    assert heard == [("/first", f"{RUN}/first"), *[("/second", f"{RUN}/second")] * 2]
    tools.close()


async def run_to_its_end(gyre: Gyre, inputs: dict[str, int]) -> dict[str, bool]:
    """Step -> whether it was done before."""
    events = [event async for event in gyre.chains.run("calls", inputs, chain_run_id=RUN)]
    return {event.step_id: event.resumed for event in events if isinstance(event, StepDone)}


async def until_it_goes_on(gyre: Gyre, inputs: dict[str, int]) -> dict[str, bool]:
    """The lease of the killed process ends."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await run_to_its_end(gyre, inputs)
            except GyreError as error:
                if error.status != "FAILED_PRECONDITION":
                    raise
                await asyncio.sleep(0.5)
