"""Whether a candidate may take the champion's place."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from google.protobuf.json_format import MessageToDict
from gyre.evaluation.v1 import gate_pb2, service_pb2
from gyre.evaluation.v1.gate_pb2_grpc import GateServiceStub

from gyre_client.channels import Channels
from gyre_client.errors import TimedOutError, raising
from gyre_client.evaluation import REPORT_TIMEOUT, WATCH_TIMEOUT, Target
from gyre_client.settings import ClientSettings

if TYPE_CHECKING:  # the asynchronous stub is a type alone
    from gyre.evaluation.v1.gate_pb2_grpc import GateServiceAsyncStub


@dataclass(frozen=True)
class GatePolicy:
    """One version of a workload's policy."""

    workload: str
    version: int
    yaml: str
    author: str

    @classmethod
    def read(cls, message: gate_pb2.GatePolicy) -> Self:
        return cls(message.workload, message.version, message.yaml, message.author)


@dataclass(frozen=True)
class GateCheck:
    """verdict: pass, fail or insufficient. low, high: 95 % interval of candidate minus champion."""

    part: str
    name: str
    slice: str
    verdict: str
    detail: str
    pairs: int
    champion: float | None
    candidate: float | None
    low: float | None
    high: float | None

    @classmethod
    def read(cls, message: gate_pb2.GateCheck) -> Self:
        numbers = {
            name: float(getattr(message, name)) if message.HasField(name) else None
            for name in ("champion", "candidate", "low", "high")
        }
        return cls(
            part=message.part,
            name=message.name,
            slice=message.slice,
            verdict=_verdict(message.verdict),
            detail=message.detail,
            pairs=message.pairs,
            **numbers,
        )


@dataclass(frozen=True)
class GateApproval:
    """A person's word."""

    principal: str
    time: datetime
    granted: bool
    reason: str

    @classmethod
    def read(cls, message: gate_pb2.GateApproval) -> Self:
        return cls(message.principal, message.time.ToDatetime(UTC), message.granted, message.reason)


@dataclass(frozen=True)
class Gate:
    """state: running, decided or cancelled. verdict: pass, fail, insufficient, or empty.

    may_proceed: it passed and, where the policy wants a person, the last word is yes.
    cause: id of the rollout or the reindexing that waits for it; empty where a person asked.
    """

    gate_id: str
    workload: str
    policy_version: int
    title: str
    state: str
    verdict: str
    may_proceed: bool
    needs_approval: bool
    approvals: tuple[GateApproval, ...]
    checks: tuple[GateCheck, ...]
    examples: int
    done: int
    run_ids: tuple[str, ...]
    author: str
    cause: str
    create_time: datetime
    candidate: Mapping[str, Any]
    champion: Mapping[str, Any]

    @property
    def ended(self) -> bool:
        return self.state in ("decided", "cancelled")

    @classmethod
    def read(cls, message: gate_pb2.Gate) -> Self:
        return cls(
            gate_id=message.gate_id,
            workload=message.workload,
            policy_version=message.policy_version,
            title=message.label or _title(message),
            state=gate_pb2.GateState.Name(message.state).removeprefix("GATE_STATE_").lower(),
            verdict=_verdict(message.verdict),
            may_proceed=message.may_proceed,
            needs_approval=message.needs_approval,
            approvals=tuple(map(GateApproval.read, message.approvals)),
            checks=tuple(map(GateCheck.read, message.checks)),
            examples=message.examples,
            done=message.done,
            run_ids=tuple(message.run_ids),
            author=message.author,
            cause=message.cause,
            create_time=message.create_time.ToDatetime(UTC),
            candidate=MessageToDict(message.candidate, preserving_proto_field_name=True),
            champion=MessageToDict(message.champion, preserving_proto_field_name=True),
        )


class Gates:
    """The caller's policies and gates. Every method raises GyreError."""

    def __init__(self, channels: Channels, settings: ClientSettings) -> None:
        self._address = settings.evaluation_address
        self._metadata = channels.metadata
        self._timeout = settings.timeout
        self._stub: GateServiceAsyncStub = GateServiceStub(channels.to(self._address))

    async def declare(self, yaml: str, *, dry_run: bool = False) -> tuple[GatePolicy, bool]:
        """The policy, and whether it is a new version."""
        request = gate_pb2.DeclareGatePolicyRequest(yaml=yaml, dry_run=dry_run)
        reply = await self._call(self._stub.DeclareGatePolicy, request)
        return GatePolicy.read(reply.policy), reply.is_new

    async def policy(self, workload: str, version: int = 0) -> GatePolicy:
        """0: the one in force."""
        request = gate_pb2.GetGatePolicyRequest(workload=workload, version=version)
        return GatePolicy.read((await self._call(self._stub.GetGatePolicy, request)).policy)

    async def start(
        self,
        workload: str,
        candidate: Target,
        champion: Target,
        *,
        label: str = "",
        creation_key: str = "",
    ) -> Gate:
        """Both name their prompt, their model or, of searches, their index. The same creation_key
        is the same gate."""
        request = gate_pb2.StartGateRequest(
            workload=workload,
            candidate=candidate.message(),
            champion=champion.message(),
            label=label,
            creation_key=creation_key or str(uuid.uuid4()),
        )
        return Gate.read((await self._call(self._stub.StartGate, request)).gate)

    async def get(self, gate_id: str) -> Gate:
        """How far it is, with its checks once it is decided."""
        request = gate_pb2.GetGateRequest(gate_id=gate_id)
        return Gate.read((await self._call(self._stub.GetGate, request)).gate)

    async def list(self, workload: str = "", limit: int = 20) -> list[Gate]:
        """The newest ones, without their checks."""
        request = gate_pb2.ListGatesRequest(workload=workload, page_size=limit)
        return [Gate.read(one) for one in (await self._call(self._stub.ListGates, request)).gates]

    async def cancel(self, gate_id: str) -> Gate:
        """As it is from now on; it has no verdict then."""
        request = gate_pb2.CancelGateRequest(gate_id=gate_id)
        return Gate.read((await self._call(self._stub.CancelGate, request)).gate)

    async def approve(self, gate_id: str, reason: str, *, granted: bool = True) -> Gate:
        """Yes or no to a gate that passed; the last word counts."""
        request = gate_pb2.ApproveGateRequest(gate_id=gate_id, granted=granted, reason=reason)
        return Gate.read((await self._call(self._stub.ApproveGate, request)).gate)

    async def watch(self, gate_id: str) -> AsyncIterator[Gate]:
        """The gate now and after each change, until it ended, however long that takes."""
        ended = False
        while not ended:
            try:
                async for gate in self._watched(gate_id):
                    yield gate
                    ended = gate.ended
            except TimedOutError:  # a stream has a longest time, a gate has none
                continue

    async def report(self, gate_id: str, *, html: bool = False) -> bytes:
        """JSON, or one page that needs nothing else."""
        kind = service_pb2.REPORT_FORMAT_HTML if html else service_pb2.REPORT_FORMAT_JSON
        request = gate_pb2.GetGateReportRequest(gate_id=gate_id, format=kind)
        with raising(self._address):
            call = self._stub.GetGateReport(
                request, metadata=self._metadata, timeout=REPORT_TIMEOUT
            )
            return b"".join([piece.data async for piece in call])

    async def _watched(self, gate_id: str) -> AsyncIterator[Gate]:
        request = gate_pb2.WatchGateRequest(gate_id=gate_id)
        with raising(self._address):
            call = self._stub.WatchGate(request, metadata=self._metadata, timeout=WATCH_TIMEOUT)
            async for reply in call:
                yield Gate.read(reply.gate)

    async def _call(self, method: Any, request: Any) -> Any:
        with raising(self._address):
            return await method(request, metadata=self._metadata, timeout=self._timeout)


def _verdict(verdict: gate_pb2.GateVerdict.ValueType) -> str:
    if verdict == gate_pb2.GATE_VERDICT_UNSPECIFIED:
        return ""
    return gate_pb2.GateVerdict.Name(verdict).removeprefix("GATE_VERDICT_").lower()


def _title(message: gate_pb2.Gate) -> str:
    target = message.candidate
    prompt = "@".join(filter(None, (target.prompt_name, target.prompt_version)))
    said = (f"prompt {prompt}" if prompt else "", target.model, target.collection, target.index)
    return ", ".join(filter(None, said))
