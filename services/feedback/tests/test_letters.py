"""A judgement whose answer never came lies in the dead letters of a real bus, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nats
from gyre.inference.v1.events_pb2 import AnswerGenerated, AnswerRecord
from gyre_client import ClientSettings, Gyre
from gyre_client.judgements import Feedback, Metric
from gyre_feedback.adapters.memory import MemoryFeatureStore
from gyre_feedback.app import build
from gyre_feedback.settings import Settings
from gyre_local.nats import NatsServer, NatsSettings
from gyre_provisioner.bus import BusPart
from gyre_provisioner.topology import read_topology
from gyre_runtime.bus.publishing import JetStreamPublisher
from gyre_runtime.bus.redrive import dead_letters, redrive
from gyre_runtime.events.compose import compose

TENANT = "demo"


async def test_what_was_given_up_is_redriven_and_meets_its_answer_once(tmp_path: Path) -> None:
    clock = Clock()
    with NatsServer(NatsSettings(tmp_path / "nats")) as server:
        bus = await nats.connect(server.url)
        jetstream = bus.jetstream()
        await BusPart(jetstream, read_topology()).repair(only_missing=False)
        settings = Settings(
            nats_url=server.url,
            grpc_address="127.0.0.1:0",
            metrics_port=0,
            database_url=f"sqlite+aiosqlite:///{tmp_path}/feedback.db",
            housekeeping_pause=0.1,
        )
        service = build(settings, features=MemoryFeatureStore(), clock=clock)
        await service.start()
        assert service.rpc is not None
        address = f"127.0.0.1:{service.rpc.port}"
        async with Gyre(ClientSettings(feedback_address=address)) as gyre:
            await gyre.feedback.declare(Metric("helpful", "boolean"))
            kept = await gyre.feedback.give("a-1", "helpful", True)
            assert kept.state == "waiting"
            clock.now += settings.answer_wait + 1
            assert (await until(lambda: state(gyre, "expired"))).reason == "answer_never_came"

            async def letters() -> list[Any]:
                return [one async for one in dead_letters(jetstream, TENANT)]

            (letter,) = await until(letters)
            assert (letter.reason, letter.listener) == ("answer_never_came", "feedback")
            await redrive(jetstream, letter.sequence)
            await until(lambda: state(gyre, "waiting"))
            record = AnswerRecord(answer_id="a-1", prompt_name="answer", prompt_version="1")
            said = AnswerGenerated(record=record)
            event = compose(said, tenant=TENANT, entity_id="a-1", cause="test")
            await JetStreamPublisher(bus).publish([event])
            assert (await until(lambda: state(gyre, "recorded"))).feedback_id == kept.feedback_id
            assert len([one async for one in gyre.feedback.list()]) == 1
        await service.stop()
        await bus.close()


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def state(gyre: Gyre, name: str) -> Feedback | None:
    """The one judgement, once it is in this state."""
    return next(iter([one async for one in gyre.feedback.list(state=name)]), None)


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(150):
        while True:
            if found := await condition():
                return found
            await asyncio.sleep(0.05)
