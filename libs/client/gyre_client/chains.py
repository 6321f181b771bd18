"""Chains: register, look at, run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from gyre.inference.v1 import chain_pb2, service_pb2
from gyre.inference.v1.service_pb2_grpc import ChainServiceStub, InferenceServiceStub

from gyre_client.channels import CallOptions, Channels
from gyre_client.errors import raising
from gyre_client.models import Citation, Usage, finish_reason, usage
from gyre_client.settings import ClientSettings
from gyre_client.versions import ChainVersion, LabelMove, Registered

if TYPE_CHECKING:  # the asynchronous stubs are types alone
    from gyre.inference.v1.service_pb2_grpc import (
        ChainServiceAsyncStub,
        InferenceServiceAsyncStub,
    )


@dataclass(frozen=True)
class ChainStarted:
    """First event. chain_run_id: goes on with the run. answer_id: give feedback on it."""

    chain_run_id: str
    answer_id: str
    version: int


@dataclass(frozen=True)
class StepStarted:
    """A step begins."""

    step_id: str
    parent_step_id: str
    kind: str
    name: str


@dataclass(frozen=True)
class StepDelta:
    """Text to append. is_output: the chain's own, to be shown to people."""

    step_id: str
    text: str
    is_output: bool


@dataclass(frozen=True)
class StepDone:
    """A step ended and is durable. seconds: how long it took. resumed: by an earlier run."""

    step_id: str
    parent_step_id: str
    kind: str
    name: str
    status: str
    input: Any
    output: Any
    usage: Usage
    seconds: float
    resumed: bool

    @classmethod
    def read(cls, message: chain_pb2.StepRecord) -> StepDone:
        """From the wire."""
        return cls(
            step_id=message.step_id,
            parent_step_id=message.parent_step_id,
            kind=message.kind,
            name=message.name,
            status=message.status,
            input=MessageToDict(message.input),
            output=MessageToDict(message.output),
            usage=usage(message.usage),
            seconds=message.duration.ToTimedelta().total_seconds(),
            resumed=message.resumed,
        )


@dataclass(frozen=True)
class ChainDone:
    """Last event: the record is durable. text: the output as text."""

    output: Any
    text: str
    finish_reason: str
    citations: tuple[Citation, ...]
    usage: Usage


@dataclass(frozen=True)
class ChainRun:
    """What was recorded of a run. state: open, done or failed."""

    chain_run_id: str
    chain: str
    version: int
    state: str
    inputs: Mapping[str, Any]
    steps: tuple[StepDone, ...]
    output: Any
    answer_id: str
    status: str
    detail: str
    start_time: datetime


ChainEvent = ChainStarted | StepStarted | StepDelta | StepDone | ChainDone
RUN_TIMEOUT = 600.0


class Chains:
    """The caller's chains, above the platform's. Every method raises GyreError.

    version: a number or a label; empty means the one in force.
    """

    def __init__(self, channels: Channels, settings: ClientSettings) -> None:
        self._address = settings.inference_address
        self._metadata = channels.metadata
        self._call = CallOptions(metadata=channels.metadata, timeout=settings.timeout)
        channel = channels.to(self._address)
        self._stub: ChainServiceAsyncStub = ChainServiceStub(channel)
        self._inference: InferenceServiceAsyncStub = InferenceServiceStub(channel)

    async def register(
        self,
        definition: str,
        *,
        message: str = "",
        labels: Sequence[str] = (),
        dry_run: bool = False,
    ) -> Registered:
        """Keeps a version; an equal definition (YAML) is the same version."""
        request = service_pb2.RegisterChainRequest(
            definition=definition, message=message, labels=labels, dry_run=dry_run
        )
        with raising(self._address):
            return Registered.read(await self._stub.RegisterChain(request, **self._call))

    async def get(self, name: str, version: str = "") -> tuple[ChainVersion, Sequence[LabelMove]]:
        """A version, and where its labels have been, newest first."""
        request = service_pb2.GetChainRequest(name=name, version=version)
        with raising(self._address):
            reply = await self._stub.GetChain(request, **self._call)
        return ChainVersion.read(reply.version), tuple(map(LabelMove.read, reply.moves))

    async def list(self, name: str = "") -> AsyncIterator[ChainVersion]:
        """The version in force of each chain, or all versions of one, newest first."""
        request = service_pb2.ListChainsRequest(name=name, page_size=200)
        while True:
            with raising(self._address):
                reply = await self._stub.ListChains(request, **self._call)
            for message in reply.chains:
                yield ChainVersion.read(message)
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def promote(
        self, name: str, version: str, *, label: str = "production", message: str = ""
    ) -> tuple[ChainVersion, LabelMove | None]:
        """Moves a label; None where it pointed there already."""
        request = service_pb2.PromoteChainRequest(
            name=name, version=version, label=label, message=message
        )
        with raising(self._address):
            reply = await self._stub.PromoteChain(request, **self._call)
        move = LabelMove.read(reply.move) if reply.HasField("move") else None
        return ChainVersion.read(reply.version), move

    async def run(
        self,
        chain: str,
        inputs: Mapping[str, Any],
        *,
        version: str = "",
        chain_run_id: str = "",
        conversation_id: str = "",
        end_user: str = "",
        token_budget: int = 0,
        timeout: float = RUN_TIMEOUT,
    ) -> AsyncIterator[ChainEvent]:
        """Streams ChainStarted, events of steps, ChainDone. Leaving early interrupts the run, down
        to the model; asked for again by its `chain_run_id` it goes on from its last step."""
        request = service_pb2.RunChainRequest(
            chain=chain,
            version=version,
            inputs=ParseDict(dict(inputs), Struct()),
            chain_run_id=chain_run_id,
            conversation_id=conversation_id,
            end_user=end_user,
            token_budget=token_budget,
        )
        with raising(self._address):
            call = self._inference.RunChain(request, metadata=self._metadata, timeout=timeout)
            try:
                async for reply in call:
                    yield _event(reply)
            finally:
                call.cancel()

    async def get_run(self, chain_run_id: str) -> ChainRun:
        """What was recorded of a run."""
        request = service_pb2.GetChainRunRequest(chain_run_id=chain_run_id)
        with raising(self._address):
            run = (await self._stub.GetChainRun(request, **self._call)).run
        state = chain_pb2.ChainRunState.Name(run.state)
        return ChainRun(
            chain_run_id=run.chain_run_id,
            chain=run.chain,
            version=run.version,
            state=state.removeprefix("CHAIN_RUN_STATE_").lower(),
            inputs=MessageToDict(run.inputs),
            steps=tuple(map(StepDone.read, run.steps)),
            output=MessageToDict(run.output) if run.HasField("output") else None,
            answer_id=run.answer_id,
            status=run.status,
            detail=run.detail,
            start_time=run.start_time.ToDatetime(tzinfo=UTC).astimezone(),
        )


def _event(reply: service_pb2.RunChainResponse) -> ChainEvent:
    match reply.WhichOneof("event"):
        case "started":
            started = reply.started
            return ChainStarted(started.chain_run_id, started.answer_id, started.version)
        case "step_started":
            step = reply.step_started
            return StepStarted(step.step_id, step.parent_step_id, step.kind, step.name)
        case "step_delta":
            delta = reply.step_delta
            return StepDelta(delta.step_id, delta.text, delta.is_output)
        case "step_done":
            return StepDone.read(reply.step_done)
        case _:
            return _done(reply.done)


def _done(done: service_pb2.ChainDone) -> ChainDone:
    return ChainDone(
        output=MessageToDict(done.output),
        text=done.text,
        finish_reason=finish_reason(done.finish_reason),
        citations=tuple(map(Citation.read, done.citations)),
        usage=usage(done.usage),
    )
