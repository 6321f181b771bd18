"""The Python examples of docs/feedback.md run."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats
import pytest
from gyre_client import ClientSettings, Gyre
from gyre_client.judgements import Metric
from gyre_feedback.adapters.memory import MemoryFeatureStore
from gyre_feedback.app import build
from gyre_feedback.settings import Settings
from gyre_local.nats import NatsServer, NatsSettings
from gyre_provisioner.bus import BusPart
from gyre_provisioner.topology import read_topology
from gyre_runtime.process import Service

PAGE = Path(__file__).parents[3] / "docs" / "feedback.md"


def example(name: str) -> dict[str, Any]:
    """What the example of that name defines."""
    found = re.search(rf"<!-- example: {name} -->\n```python\n(.*?)```", PAGE.read_text(), re.S)
    assert found is not None, name
    defined: dict[str, Any] = {}
    exec(found[1], defined)
    return defined


@pytest.fixture
def server(tmp_path: Path) -> Any:
    with NatsServer(NatsSettings(tmp_path / "nats")) as running:
        yield running


@pytest.fixture
async def service(server: Any, tmp_path: Path) -> AsyncIterator[Service]:
    connection = await nats.connect(server.url)
    await BusPart(connection.jetstream(), read_topology()).repair(only_missing=False)
    await connection.close()
    settings = Settings(
        nats_url=server.url,
        grpc_address="127.0.0.1:0",
        metrics_port=0,
        database_url=f"sqlite+aiosqlite:///{tmp_path}/feedback.db",
    )
    made = build(settings, features=MemoryFeatureStore())
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def gyre(service: Service) -> AsyncIterator[Gyre]:
    assert service.rpc is not None
    settings = ClientSettings(feedback_address=f"127.0.0.1:{service.rpc.port}")
    async with Gyre(settings) as client:
        await client.feedback.declare(Metric("helpful", "boolean"))
        yield client


async def test_the_example_of_the_client_gives_a_judgement_and_a_correction(gyre: Gyre) -> None:
    await example("client")["thumbs_down"](gyre, "a-1", "visitor-1")
    kept = {one.metric: one async for one in gyre.feedback.list(answer_id="a-1")}
    assert kept["helpful"].value is False
    assert kept["helpful"].rater == "visitor-1"
    assert kept["correction"].value == "Roaming costs 5 pounds a day."


async def test_the_example_of_the_bus_gives_a_judgement(gyre: Gyre, server: Any) -> None:
    await example("bus")["judge"](server.url, "demo", "a-2")
    for _ in range(600):
        kept = [one async for one in gyre.feedback.list(answer_id="a-2")]
        if kept:
            break

        await asyncio.sleep(0.1)
    (one,) = kept
    assert (one.principal, one.value, one.state) == ("bus:shop", True, "waiting")
