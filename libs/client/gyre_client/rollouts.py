"""Rollouts: start, look, watch, promote, abort."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from gyre.inference.v1 import rollout_pb2, service_pb2
from gyre.inference.v1.service_pb2_grpc import RolloutServiceStub

from gyre_client.channels import CallOptions, Channels
from gyre_client.errors import InvalidError, TimedOutError, raising
from gyre_client.settings import ClientSettings

if TYPE_CHECKING:  # the asynchronous stub is a type alone
    from gyre.inference.v1.service_pb2_grpc import RolloutServiceAsyncStub

Rollout = Mapping[str, Any]
"""Fields by the names of `gyre.inference.v1.Rollout`; state, kind and verdicts without prefix."""
Plan = Mapping[str, Any]
"""Fields by the names of `gyre.inference.v1.RolloutPlan`; what is absent the service sets."""
_ENUMS = ("ROLLOUT_STATE_", "ROLLOUT_KIND_", "ROLLOUT_VERDICT_")
_ENDS = ("PROMOTED", "ROLLED_BACK")
_WATCHED = 1800.0


class Rollouts:
    """The caller's rollouts. Every method raises GyreError."""

    def __init__(self, channels: Channels, settings: ClientSettings) -> None:
        self._address = settings.inference_address
        self._call = CallOptions(metadata=channels.metadata, timeout=settings.timeout)
        self._stub: RolloutServiceAsyncStub = RolloutServiceStub(channels.to(self._address))

    async def start(
        self,
        kind: Literal["model", "prompt"],
        candidate: str,
        *,
        name: str = "",
        workload: str = "",
        model_uri: str = "",
        plan: Plan | None = None,
        message: str = "",
        model: str = "",
        creation_key: str = "",
    ) -> Rollout:
        """name: the model's that clients know (empty: the service's), or the prompt's. model: its
        `NAME/VERSION` in the model registry. creation_key: with it the call may be repeated."""
        request = service_pb2.StartRolloutRequest(
            kind=rollout_pb2.RolloutKind.Value(f"ROLLOUT_KIND_{kind.upper()}"),
            name=name,
            candidate=candidate,
            workload=workload,
            model_uri=model_uri,
            plan=_plan(plan or {}),
            message=message,
            model=model,
            creation_key=creation_key,
        )
        with raising(self._address):
            reply = await self._stub.StartRollout(request, **self._call)
        return _read(reply.rollout)

    async def get(self, rollout_id: str) -> Rollout:
        """With what is known now."""
        request = service_pb2.GetRolloutRequest(rollout_id=rollout_id)
        with raising(self._address):
            reply = await self._stub.GetRollout(request, **self._call)
        return _read(reply.rollout)

    async def list(self, *, running: bool = False) -> AsyncIterator[Rollout]:
        """Newest first."""
        request = service_pb2.ListRolloutsRequest(running=running, page_size=200)
        while True:
            with raising(self._address):
                reply = await self._stub.ListRollouts(request, **self._call)
            for message in reply.rollouts:
                yield _read(message)
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def watch(self, rollout_id: str) -> AsyncIterator[Rollout]:
        """Now, and after each change, until it is over, however long that takes."""
        ended = False
        while not ended:
            try:
                async for one in self._watched(rollout_id):
                    yield one
                    ended = one["state"] in _ENDS
            except TimedOutError:  # a stream has a longest time, a rollout a longer one
                continue

    async def _watched(self, rollout_id: str) -> AsyncIterator[Rollout]:
        request = service_pb2.WatchRolloutRequest(rollout_id=rollout_id)
        metadata = self._call["metadata"]
        with raising(self._address):
            call = self._stub.WatchRollout(request, metadata=metadata, timeout=_WATCHED)
            try:
                async for reply in call:
                    yield _read(reply.rollout)
            finally:
                call.cancel()

    async def promote(self, rollout_id: str, *, fully: bool = False, reason: str = "") -> Rollout:
        """The next step, or everybody at once. Not to be repeated: it would be a step further."""
        request = service_pb2.PromoteRolloutRequest(
            rollout_id=rollout_id, fully=fully, reason=reason
        )
        with raising(self._address):
            reply = await self._stub.PromoteRollout(request, **self._call)
        return _read(reply.rollout)

    async def abort(self, rollout_id: str, *, reason: str = "") -> Rollout:
        """May be repeated."""
        request = service_pb2.AbortRolloutRequest(rollout_id=rollout_id, reason=reason)
        with raising(self._address):
            reply = await self._stub.AbortRollout(request, **self._call)
        return _read(reply.rollout)


def _plan(plan: Plan) -> rollout_pb2.RolloutPlan:
    try:
        return ParseDict(dict(plan), rollout_pb2.RolloutPlan())
    except ParseError as error:
        raise InvalidError("INVALID_ARGUMENT", f"not a plan: {error}") from error


def _read(message: rollout_pb2.Rollout) -> Rollout:
    read: Rollout = _plain(MessageToDict(message, preserving_proto_field_name=True))
    return read


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, str):
        for prefix in _ENUMS:
            value = value.removeprefix(prefix)
    return value
