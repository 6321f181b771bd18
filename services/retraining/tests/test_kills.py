"""The service and its jobs are killed, each at any moment; there is one training and one model."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from grpc_health.v1 import health_pb2, health_pb2_grpc
from gyre.retraining.v1 import training_pb2 as pb
from gyre_retraining.adapters.memory_registry import MemoryModelRegistry
from gyre_retraining.domain.models import ModelRecord, ModelVersion
from gyre_retraining.settings import Settings

sys.path.append(str(Path(__file__).parent))
from service_world import World, running
from training_world import eventually

HERE = Path(__file__).parent


async def killed(folder: Path) -> str:
    """The id of a training whose job runs on while its service is dead."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "killed_service.py"), str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    while line := (await process.stdout.readline()).decode():
        if line.startswith("training "):
            break
    process.kill()
    assert await process.wait() == -signal.SIGKILL
    return line.split()[1]


def job_of(folder: Path, training_id: str) -> int:
    return int(json.loads((folder / "jobs" / training_id / "process.json").read_text())["pid"])


def steps_of(folder: Path, training_id: str) -> list[int]:
    lines = (folder / "jobs" / training_id / "progress.jsonl").read_text().splitlines()
    return [json.loads(one)["step"] for one in lines]


async def causes(world: World, event: str) -> int:
    """How often it was said, whoever said it."""
    outbox = world.database.tables.outbox
    query = sa.select(sa.func.count()).where(outbox.c.subject.contains(f".{event}."))
    async with world.database.reading() as connection:
        return int(await connection.scalar(query) or 0)


async def test_a_job_outlives_the_service_and_is_found_again(tmp_path: Path) -> None:
    identity = await killed(tmp_path)
    pid = job_of(tmp_path, identity)
    async with running(tmp_path, pause=0.4) as world:
        assert (await world.start()).training_id == identity  # the same request
        done = await world.watched(identity)
        assert done.state == pb.TRAINING_STATE_SUCCEEDED, done.detail
        assert done.attempts == 1
        assert job_of(tmp_path, identity) == pid
        assert steps_of(tmp_path, identity) == list(range(1, 9))
        for event in ("training_requested", "training_started", "model_trained"):
            assert await causes(world, event) == 1


async def test_a_job_that_dies_with_the_service_goes_on_at_its_checkpoint(tmp_path: Path) -> None:
    identity = await killed(tmp_path)
    os.kill(job_of(tmp_path, identity), signal.SIGKILL)
    reached = int((tmp_path / "jobs" / identity / "checkpoints" / "step").read_text())
    async with running(tmp_path) as world:
        done = await world.watched(identity)
        assert (done.state, done.attempts) == (pb.TRAINING_STATE_SUCCEEDED, 2)
        assert steps_of(tmp_path, identity)[-(8 - reached) :] == list(range(reached + 1, 9))
        assert await causes(world, "training_started") == 2
        assert await causes(world, "model_trained") == 1


async def test_a_model_whose_registration_was_cut_off_is_registered_once(tmp_path: Path) -> None:
    """The service dies after the registry has the version and before it has noted that."""
    registry = CutOff()
    async with running(tmp_path, registry=registry) as world:
        await world.judged(24)
        training = await world.start()
        await eventually(lambda: registry.registered)
    assert registry.registered == [training.training_id]
    registry.cut = False
    async with running(tmp_path, registry=registry) as world:
        done = await world.watched(training.training_id)
        assert (done.state, done.model) == (pb.TRAINING_STATE_SUCCEEDED, "tiny/2")
        assert [one.version for one in await registry.versions("acme", "tiny")] == [2, 1]
        assert await causes(world, "model_trained") == 1


class CutOff(MemoryModelRegistry):
    """Keeps what it is given and never says so, as long as `cut`."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = True
        self.registered: list[str] = []

    async def register(self, record: ModelRecord) -> ModelVersion:
        made = await super().register(record)
        if record.training_id and self.cut:
            self.registered.append(record.training_id)
            await asyncio.sleep(600)
        return made


async def serving(address: str) -> bool:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            reply: Any = await stub.Check(health_pb2.HealthCheckRequest(), timeout=2)
        except grpc.aio.AioRpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


async def test_it_runs_as_a_process_without_a_bus_and_ends_when_it_is_told(tmp_path: Path) -> None:
    from gyre_local.ports import free_port

    address, metrics = f"127.0.0.1:{free_port()}", free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gyre_retraining"),
        cwd=tmp_path,
        env={
            "GYRE_GRPC_ADDRESS": address,
            "GYRE_METRICS_PORT": str(metrics),
            "GYRE_NATS_URL": f"nats://127.0.0.1:{free_port()}",
            "GYRE_STOP_TIMEOUT": "5",
            "PATH": os.environ["PATH"],
        },
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await eventually(lambda: serving(address))
        reader, writer = await asyncio.open_connection("127.0.0.1", metrics)
        writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert b"gyre_retraining_open" in await reader.read()
        writer.close()
    finally:
        process.terminate()
    assert await process.wait() == 0


async def test_the_serving_process_imports_nothing_that_trains_or_tracks() -> None:
    heavy = ("torch", "mlflow", "transformers", "pandas", "feast")
    program = f"""
import sys
import gyre_retraining.__main__
print([name for name in {heavy} if name in sys.modules])
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    assert told.decode().strip() == "[]"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"jobs": "kubernetes"}, "GYRE_KUBERNETES_IMAGE"),
        ({"trainings_at_once": 0}, "trainings_at_once"),
    ],
)
def test_settings_that_cannot_be_say_what_to_set(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Settings(**given)


def test_the_registrys_address_is_the_same_from_every_folder(tmp_path: Path) -> None:
    assert Settings(mlflow_tracking_uri="https://mlflow").registry_uri == "https://mlflow"
    there = Settings(mlflow_tracking_uri=f"sqlite:///{tmp_path}/m.db")
    assert there.registry_uri == there.job_tracking_uri == f"sqlite:///{tmp_path}/m.db"
    here = Settings(mlflow_tracking_uri="sqlite:///var/m.db")
    assert here.registry_uri == f"sqlite:///{Path.cwd()}/var/m.db"
    cluster = Settings(jobs="kubernetes", kubernetes_image="i", kubernetes_claim="c")
    assert cluster.job_tracking_uri == ""
