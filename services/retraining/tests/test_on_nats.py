"""On a real nats-server: what comes three times counts once, and a model is said to all."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import nats
from google.protobuf.message import Message
from gyre.evaluation.v1.events_pb2 import DriftDetected, DriftFinding
from gyre.retraining.v1 import service_pb2 as wire
from gyre.retraining.v1 import training_pb2 as pb
from gyre.retraining.v1.events_pb2 import ModelTrained
from gyre_local.nats import NatsServer, NatsSettings
from gyre_provisioner.bus import BusPart
from gyre_provisioner.topology import read_topology
from gyre_runtime.bus import subject_of
from gyre_runtime.events.compose import compose
from nats.js import JetStreamContext

sys.path.append(str(Path(__file__).parent))
from service_world import World, answered, running, thumb
from training_world import eventually


async def say(jetstream: JetStreamContext, event: Message, cause: str) -> None:
    """Three times, past what the bus itself takes for a repetition."""
    said = compose(event, tenant="acme", entity_id=cause, cause=cause)
    for time in range(3):
        headers = {**said.headers, "Nats-Msg-Id": f"{said.event_id}-{time}"}
        await jetstream.publish(said.subject, said.body, headers=headers)


async def drained(jetstream: JetStreamContext, stream: str, event: str, held: int) -> None:
    """Waits until so many were handled."""

    async def is_so() -> bool:
        info = await jetstream.consumer_info(stream, f"retraining-{event}")
        waiting = (info.num_pending or 0) + (info.num_ack_pending or 0)
        return not waiting and (info.ack_floor.stream_seq if info.ack_floor else 0) >= held

    await eventually(is_so)


async def ended(world: World, count: int) -> list[pb.Training]:
    """So many trainings, all at their end; oldest first."""

    async def found() -> list[pb.Training]:
        reply = await world.call("ListTrainings", wire.ListTrainingsRequest())
        return list(reply.trainings)[::-1]

    async def is_so() -> bool:
        return sum(one.HasField("end_time") for one in await found()) >= count

    await eventually(is_so)
    return await found()


async def test_what_is_delivered_three_times_trains_once(tmp_path: Path) -> None:
    policy = {"minimum_judgements": 30, "cool_down_hours": 0}
    with NatsServer(NatsSettings(tmp_path / "nats")) as server:
        client = await nats.connect(server.url)
        jetstream = client.jetstream()
        await BusPart(jetstream, read_topology()).repair(only_missing=False)
        async with running(tmp_path, policy=policy, nats_url=server.url, real_bus=True) as world:
            for number in range(30):
                await say(jetstream, answered(number), f"answer-{number}")
            await drained(jetstream, "INFERENCE", "answer_generated", 90)
            for number in range(30):
                await say(jetstream, thumb(number), f"thumb-{number}")
            await ended(world, 1)
            await say(jetstream, DriftDetected(drift_id="d-1", findings=[DriftFinding()]), "d-1")
            await ended(world, 2)
            await drained(jetstream, "EVALUATION", "drift_detected", 3)
            await asyncio.sleep(1)  # several looks of the policy
            judged, drifted = await ended(world, 2)
            assert judged.trigger.kind == pb.TRIGGER_KIND_JUDGEMENTS
            assert drifted.trigger.kind == pb.TRIGGER_KIND_DRIFT
            assert [judged.model, drifted.model] == ["tiny/2", "tiny/3"]
            subject = subject_of(ModelTrained, "acme")

            async def said() -> bool:
                info = await jetstream.stream_info("RETRAINING", subjects_filter=subject)
                return (info.state.subjects or {}).get(subject) == 2

            await eventually(said)
        await client.close()
