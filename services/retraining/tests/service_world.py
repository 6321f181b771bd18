"""The whole service with a tiny job: both doors, its database, a bus in memory, and twins."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf.message import Message
from gyre.feedback.v1 import feedback_pb2
from gyre.feedback.v1.events_pb2 import FeedbackRecorded
from gyre.inference.v1.answer_pb2 import FINISH_REASON_STOP
from gyre.inference.v1.events_pb2 import AnswerGenerated, AnswerRecord
from gyre.retraining.v1 import service_pb2 as wire
from gyre.retraining.v1.service_pb2_grpc import RetrainingServiceStub
from gyre_retraining.adapters.jobs_local import LocalJobs
from gyre_retraining.adapters.memory_datasets import MemoryEvaluationSets, MemoryMetricScales
from gyre_retraining.adapters.memory_registry import MemoryModelRegistry
from gyre_retraining.adapters.tables import MIGRATIONS, metadata
from gyre_retraining.app import build
from gyre_retraining.domain.scales import Scale
from gyre_retraining.ports import Jobs
from gyre_retraining.registry_ports import ModelRegistry
from gyre_retraining.settings import Settings
from gyre_runtime.bus import Bus, subject_of
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database
from gyre_runtime.events.compose import compose
from gyre_runtime.process import Service
from gyre_runtime.settings import ApiKey

sys.path.append(str(Path(__file__).parent))
from dataset_world import fact, question

HERE = Path(__file__).parent
KEYS = {
    "key-acme": ApiKey(tenant="acme", principal="ada", roles=frozenset({"admin"})),
    "key-rival": ApiKey(tenant="rival", principal="eve", roles=frozenset({"admin"})),
    "key-reader": ApiKey(tenant="acme", principal="rob", roles=frozenset({"reader"})),
}
RECIPE = {
    "name": "tiny-kto",
    "description": "Learns nothing from thumbs.",
    "kind": "language",
    "method": "kto",
    "form": "thumbs",
    "base_model": "tiny",
    "training": {"max_steps": 8},
    "data": {"minimum_rows": 10},
}
POLICY = {
    "name": "thumbs",
    "recipe": "tiny-kto",
    "minimum_judgements": 30,
    "drift": True,
    "cool_down_hours": 1,
}
HEADER = b'{"weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'


@dataclass
class World:
    """A started service and how to talk to it."""

    service: Service
    database: Database
    stub: RetrainingServiceStub
    exchange: MemoryExchange
    folder: Path

    async def call(self, method: str, request: Any, key: str = "key-acme") -> Any:
        credential = (("authorization", f"Bearer {key}"),)
        return await getattr(self.stub, method)(request, timeout=55, metadata=credential)

    async def refused(self, method: str, request: Any, key: str = "key-acme") -> Any:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await self.call(method, request, key)
        return refusal.value

    def say(self, event: Message, cause: str, tenant: str = "acme") -> None:
        self.exchange.publish(compose(event, tenant=tenant, entity_id=cause, cause=cause))

    async def judged(self, count: int, tenant: str = "acme") -> None:
        """So many answers, each with a thumb of another person."""
        for number in range(count):
            self.say(answered(number), f"answer-{number}", tenant)
            self.say(thumb(number), f"thumb-{number}", tenant)
        await self.exchange.settled(60)

    async def start(self, **given: Any) -> Any:
        fields = {"recipe": "tiny-kto", "request_id": "r-1", **given}
        reply = await self.call("StartTraining", wire.StartTrainingRequest(**fields))
        return reply.training

    async def watched(self, training_id: str, until: Any = None) -> Any:
        """Its last state, or the first that is so."""
        credential = (("authorization", "Bearer key-acme"),)
        request = wire.WatchTrainingRequest(training_id=training_id)
        call, last = self.stub.WatchTraining(request, timeout=1200, metadata=credential), None
        async for reply in call:
            last = reply.training
            if until is not None and until(last):
                call.cancel()
                break
        return last

    async def models(self) -> Any:
        return (await self.call("ListModels", wire.ListModelsRequest())).models

    async def said(self, event: type[Message]) -> list[Any]:
        """What was said on the bus; waits for the first."""
        prefix = subject_of(event, "*").removesuffix("*")
        for _ in range(200):
            stored = [one for one in self.exchange.messages if one.subject.startswith(prefix)]
            if stored:
                return [event.FromString(one.data) for one in stored]
            await asyncio.sleep(0.05)
        return []


def answered(number: int) -> AnswerGenerated:
    record = AnswerRecord(
        answer_id=f"a-{number}",
        question=question(number),
        completion=fact(number),
        finish_reason=FINISH_REASON_STOP,
        principal="shop",
        end_user=f"user-{number}",
        workload="answer",
        model="tiny",
    )
    record.messages.add(role="user", content=question(number))
    record.request_time.FromDatetime(datetime.now(UTC))
    return AnswerGenerated(record=record)


def thumb(number: int) -> FeedbackRecorded:
    said = feedback_pb2.Feedback(feedback_id=f"f-{number}", revision=1, metric="thumb")
    said.target.answer_id = f"a-{number}"
    said.value.boolean = bool(number % 2)
    said.source.rater = f"user-{number}"
    said.source.kind = feedback_pb2.SOURCE_KIND_PERSON
    said.give_time.FromDatetime(datetime.now(UTC))
    return FeedbackRecorded(feedback=said, principal="shop")


def write_files(folder: Path, policy: dict[str, Any]) -> None:
    """A recipe, a policy and a model to start from."""
    (folder / "recipes").mkdir(parents=True, exist_ok=True)
    (folder / "recipes" / "tiny-kto.yaml").write_text(yaml.safe_dump(RECIPE))
    (folder / "policies.yaml").write_text(yaml.safe_dump({"policies": [{**POLICY, **policy}]}))
    (folder / "base").mkdir(exist_ok=True)
    weights = len(HEADER).to_bytes(8, "little") + HEADER + bytes(4)
    (folder / "base" / "model.safetensors").write_bytes(weights)
    (folder / "base" / "config.json").write_text('{"architectures": ["Tiny"], "hidden_size": 1}')


def settings_of(folder: Path, **given: Any) -> Settings:
    return Settings(
        **{
            "grpc_address": "127.0.0.1:0",
            "metrics_port": 0,
            "api_keys": KEYS,
            "database_url": f"sqlite+aiosqlite:///{folder / 'retraining.db'}",
            "recipe_folders": [folder / "recipes"],
            "policies_file": folder / "policies.yaml",
            "jobs_folder": folder / "jobs",
            "datasets_folder": folder / "datasets",
            "models": folder / "models",
            "model_imports": {"tiny": {"kind": "language", "folder": folder / "base"}},
            "mlflow_tracking_uri": f"sqlite:///{folder / 'mlflow.db'}",
            "models_python": Path(sys.executable),
            "look_pause": 0.2,
            "training_pause": 0.05,
            "training_lease": 2.0,
            "progress_pause": 0.0,
            **given,
        }
    )


@asynccontextmanager
async def running(
    folder: Path,
    *,
    pause: float = 0.0,
    registry: ModelRegistry | None = None,
    policy: dict[str, Any] | None = None,
    jobs: Jobs | None = None,
    real_bus: bool = False,
    **settings: Any,
) -> AsyncIterator[World]:
    """pause: seconds of a job's step. policy: what is changed in it. jobs: None are tiny ones.
    real_bus: that of the settings, and the world's exchange is nobody's."""
    write_files(folder, policy or {})
    chosen, exchange = settings_of(folder, **settings), MemoryExchange()
    database = Database(str(chosen.database_url), metadata, migrations=MIGRATIONS)
    link = None if real_bus else MemoryLink(exchange)
    bus = Bus(chosen, "retraining", database=database, link=link)
    scales = {name: {"thumb": Scale()} for name in ("acme", "rival")}
    tiny = LocalJobs(
        chosen.jobs_folder,
        chosen.models_python,
        command=(str(HERE / "tiny_job.py"),),
        environment={"TINY_PAUSE": str(pause)},
        grace=5.0,
    )
    service = build(
        chosen,
        database=database,
        bus=bus,
        jobs=jobs or tiny,
        registry=registry or MemoryModelRegistry(),
        sets=MemoryEvaluationSets(),
        scales=MemoryMetricScales(scales),
    )
    await service.start()
    assert service.rpc is not None
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.rpc.port}") as channel:
        try:
            yield World(service, database, RetrainingServiceStub(channel), exchange, folder)
        finally:
            await service.stop()
