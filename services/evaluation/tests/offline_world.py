"""The whole service with what it asks as twins: both doors, its database, a bus in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc
import pytest
from gyre.evaluation.v1 import service_pb2 as wire
from gyre.evaluation.v1.service_pb2_grpc import EvaluationServiceStub
from gyre_evaluation.adapters.memory import MemoryScoring, MemoryTargets
from gyre_evaluation.adapters.tables import metadata
from gyre_evaluation.app import build
from gyre_evaluation.ports import Targets
from gyre_evaluation.settings import Settings
from gyre_runtime.bus import Bus, subject_of
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database
from gyre_runtime.process import Service
from gyre_runtime.settings import ApiKey

KEYS = {
    "key-acme": ApiKey(tenant="acme", principal="ada", roles=frozenset({"admin"})),
    "key-rival": ApiKey(tenant="rival", principal="eve", roles=frozenset({"admin"})),
    "key-reader": ApiKey(tenant="acme", principal="rob", roles=frozenset({"reader"})),
}
ANSWERS = {f"What is {n} plus 1?": f"It is {n + 1}." for n in range(30)}


@dataclass
class World:
    """A started service and how to talk to it."""

    service: Service
    stub: EvaluationServiceStub
    exchange: MemoryExchange
    targets: Any

    async def call(self, method: str, request: Any, key: str = "key-acme") -> Any:
        credential = (("authorization", f"Bearer {key}"),)
        return await getattr(self.stub, method)(request, timeout=55, metadata=credential)

    async def refused(self, method: str, request: Any, key: str = "key-acme") -> Any:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await self.call(method, request, key)
        return refusal.value

    async def report(self, *run_ids: str, html: bool = False) -> bytes:
        kind = wire.REPORT_FORMAT_HTML if html else wire.REPORT_FORMAT_JSON
        request = wire.GetReportRequest(run_ids=run_ids, format=kind)
        credential = (("authorization", "Bearer key-acme"),)
        call = self.stub.GetReport(request, timeout=120, metadata=credential)
        return b"".join([piece.data async for piece in call])

    async def dataset(
        self,
        answers: Mapping[str, str] = ANSWERS,
        name: str = "sums",
        relevant: Mapping[str, str] = MappingProxyType({}),
    ) -> Any:
        """Sealed, all of it `test`. relevant: passage by question."""
        made = await self.call("CreateDataset", wire.CreateDatasetRequest(name=name))
        examples = [
            wire.Example(
                question=question,
                references=[answer],
                relevant_ids=[relevant[question]] if question in relevant else [],
                slices={"parity": "even" if place % 2 else "odd"},
            )
            for place, (question, answer) in enumerate(answers.items())
        ]
        version = made.dataset.version
        added = wire.AddExamplesRequest(name=name, version=version, examples=examples)
        await self.call("AddExamples", added)
        sealed = await self.call("SealDataset", wire.SealDatasetRequest(name=name, version=version))
        return sealed.dataset

    async def ran(self, **fields: Any) -> Any:
        """The run at its end."""
        given = {"dataset": "sums", "metrics": ["exact_match", "token_f1"], **fields}
        started = await self.call("StartRun", wire.StartRunRequest(**given))
        return await self.ended(started.run.run_id)

    async def ended(self, run_id: str) -> Any:
        credential = (("authorization", "Bearer key-acme"),)
        call = self.stub.WatchRun(
            wire.WatchRunRequest(run_id=run_id), timeout=600, metadata=credential
        )
        last = None
        async for reply in call:
            last = reply.run
        return last

    async def caught(self, run_id: str, done: int) -> None:
        """Waits until it did so many examples; it must still be at work then."""
        credential = (("authorization", "Bearer key-acme"),)
        request = wire.WatchRunRequest(run_id=run_id)
        call = self.stub.WatchRun(request, timeout=600, metadata=credential)
        async for reply in call:
            if reply.run.done >= done:
                assert reply.run.state == wire.RUN_STATE_RUNNING
                break
        call.cancel()

    async def said(self, event: Any) -> list[Any]:
        for _ in range(600):
            prefix = subject_of(event, "*").removesuffix("*")
            stored = [one for one in self.exchange.messages if one.subject.startswith(prefix)]
            if stored:
                return [event.FromString(one.data) for one in stored]
            await asyncio.sleep(0.05)
        return []


@asynccontextmanager
async def running(
    folder: Path, targets: Targets | None = None, **settings: Any
) -> AsyncIterator[World]:
    """settings: beside those that a test needs."""
    chosen = Settings(
        **{
            "grpc_address": "127.0.0.1:0",
            "metrics_port": 0,
            "api_keys": KEYS,
            "mlflow_tracking_uri": "",
            "run_attempts": 1,
            "run_lease": 2.0,
            "database_url": f"sqlite+aiosqlite:///{folder / 'evaluation.db'}",
            **settings,
        }
    )
    targets = targets or MemoryTargets(dict(ANSWERS))
    exchange = MemoryExchange()
    database = Database(str(chosen.database_url), metadata)
    bus = Bus(chosen, "evaluation", database=database, link=MemoryLink(exchange))
    service = build(chosen, bus=bus, database=database, targets=targets, scoring=MemoryScoring())
    await service.start()
    assert service.rpc is not None
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.rpc.port}") as channel:
        try:
            yield World(service, EvaluationServiceStub(channel), exchange, targets)
        finally:
            await service.stop()
