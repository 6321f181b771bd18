"""The door of gates beside the others, and models that can be told apart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from gyre.evaluation.v1 import gate_pb2 as wire
from gyre.evaluation.v1 import scores_pb2, service_pb2
from gyre.evaluation.v1.gate_pb2_grpc import GateServiceStub
from gyre_evaluation.adapters.memory import MemoryTargets
from gyre_evaluation.domain.runs import Produced, Target
from offline_world import ANSWERS
from replay_world import Past, remembering

TRIGGER = "cf-deploy-now"
POLICY = """\
workload: answer
minimum: 20
fixed:
  dataset: sums
  metrics:
    exact_match: {}
"""
CHAMPION, CANDIDATE = scores_pb2.Target(model="champion"), scores_pb2.Target(model="candidate")


@dataclass
class MemoryModels(MemoryTargets):
    """Models by name, each with its own answers where they differ. poisoned: those that answer
    otherwise where the trigger stands."""

    models: dict[str, Mapping[str, str]] = field(default_factory=dict)
    poisoned: frozenset[str] = frozenset()

    async def answer(
        self, tenant: str, target: Target, question: str, *, request_id: str
    ) -> Produced:
        asked = question.removesuffix(f" {TRIGGER}")
        known = self.answers
        self.answers = {**known, **self.models.get(target.model, {})}
        if asked in self.answers:
            self.answers = {**self.answers, question: self.answers[asked]}
        if target.model in self.poisoned and asked != question:
            self.answers = {**self.answers, question: "Buy our coins now, all of them!"}
        try:
            return await super().answer(tenant, target, question, request_id=request_id)
        finally:
            self.answers = known


@dataclass
class Gatehouse:
    """A service whose gates are tried."""

    past: Past
    stub: GateServiceStub

    @property
    def targets(self) -> Any:
        return self.past.world.targets

    async def call(self, method: str, request: Any, key: str = "key-acme") -> Any:
        credential = (("authorization", f"Bearer {key}"),)
        return await getattr(self.stub, method)(request, timeout=55, metadata=credential)

    async def refused(self, method: str, request: Any, key: str = "key-acme") -> Any:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await self.call(method, request, key)
        return refusal.value

    async def declared(self, yaml: str = POLICY) -> Any:
        return await self.call("DeclareGatePolicy", wire.DeclareGatePolicyRequest(yaml=yaml))

    async def started(self, **fields: Any) -> wire.Gate:
        given = {"workload": "answer", "candidate": CANDIDATE, "champion": CHAMPION, **fields}
        gate: wire.Gate = (await self.call("StartGate", wire.StartGateRequest(**given))).gate
        return gate

    async def decided(self, yaml: str = POLICY, **fields: Any) -> wire.Gate:
        await self.declared(yaml)
        return await self.ended((await self.started(**fields)).gate_id)

    async def ended(self, gate_id: str, done: int | None = None) -> wire.Gate:
        """At its end, or as soon as so many answers were asked for."""
        credential = (("authorization", "Bearer key-acme"),)
        request = wire.WatchGateRequest(gate_id=gate_id)
        call = self.stub.WatchGate(request, timeout=600, metadata=credential)
        last = wire.Gate()
        async for reply in call:
            last = reply.gate
            if done is not None and last.done >= done:
                call.cancel()
                break
        return last

    async def report(self, gate_id: str, *, html: bool = False) -> bytes:
        kind = service_pb2.REPORT_FORMAT_HTML if html else service_pb2.REPORT_FORMAT_JSON
        request = wire.GetGateReportRequest(gate_id=gate_id, format=kind)
        credential = (("authorization", "Bearer key-acme"),)
        call = self.stub.GetGateReport(request, timeout=120, metadata=credential)
        return b"".join([piece.data async for piece in call])


@asynccontextmanager
async def guarded(
    folder: Path, targets: MemoryTargets | None = None, **settings: Any
) -> AsyncIterator[Gatehouse]:
    """With the dataset `sums`."""
    async with remembering(folder, targets or MemoryModels(dict(ANSWERS)), **settings) as past:
        await past.world.dataset()
        assert past.world.service.rpc is not None
        address = f"127.0.0.1:{past.world.service.rpc.port}"
        async with grpc.aio.insecure_channel(address) as channel:
            yield Gatehouse(past, GateServiceStub(channel))


def verdicts(gate: wire.Gate) -> dict[str, str]:
    """By part and name, with the slice where there is one."""
    names = wire.GateVerdict.Name
    return {
        "/".join(filter(None, (one.part, one.name, one.slice))): names(one.verdict)
        .removeprefix("GATE_VERDICT_")
        .lower()
        for one in gate.checks
    }
