"""People who want to be forgotten."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from google.protobuf.timestamp_pb2 import Timestamp
from gyre.inference.v1 import service_pb2
from gyre.inference.v1.service_pb2_grpc import PrivacyServiceStub

from gyre_client.channels import CallOptions, Channels
from gyre_client.errors import raising
from gyre_client.settings import ClientSettings

if TYPE_CHECKING:  # the asynchronous stub is a type alone
    from gyre.inference.v1.service_pb2_grpc import PrivacyServiceAsyncStub

PAUSE = 1.0


@dataclass(frozen=True)
class Forgotten:
    """erased: how many things, by kind. forget_time: None before it is done."""

    service: str
    erased: Mapping[str, int]
    forget_time: datetime | None


@dataclass(frozen=True)
class Erasure:
    """Whom it is about is not kept. complete_time: None before the last service is done."""

    erasure_id: str
    principal: str
    reason: str
    request_time: datetime
    services: tuple[Forgotten, ...]
    complete_time: datetime | None

    @classmethod
    def of(cls, message: service_pb2.Erasure) -> Self:
        """From its message."""
        return cls(
            message.erasure_id,
            message.principal,
            message.reason,
            _time(message.request_time),
            tuple(_forgotten(one) for one in message.services),
            _time(message.complete_time) if message.HasField("complete_time") else None,
        )


class Privacy:
    """For operators of the tenant. Every method raises GyreError."""

    def __init__(self, channels: Channels, settings: ClientSettings) -> None:
        self._address = settings.inference_address
        self._call = CallOptions(metadata=channels.metadata, timeout=settings.timeout)
        self._stub: PrivacyServiceAsyncStub = PrivacyServiceStub(channels.to(self._address))

    async def erase(self, end_user: str, *, reason: str, creation_key: str = "") -> Erasure:
        """Erases what this person said and was told, in every service; it is on its way when this
        returns. end_user: as requests name the person. creation_key: with it the call may be
        repeated."""
        request = service_pb2.EraseUserRequest(
            end_user=end_user, reason=reason, creation_key=creation_key or str(uuid.uuid4())
        )
        with raising(self._address):
            reply = await self._stub.EraseUser(request, **self._call)
        return Erasure.of(reply.erasure)

    async def get(self, erasure_id: str) -> Erasure:
        """How far it is."""
        request = service_pb2.GetErasureRequest(erasure_id=erasure_id)
        with raising(self._address):
            reply = await self._stub.GetErasure(request, **self._call)
        return Erasure.of(reply.erasure)

    async def watch(self, erasure_id: str) -> AsyncIterator[Erasure]:
        """Now, and after each service, until the last one is done."""
        last = None
        while last is None or last.complete_time is None:
            known = await self.get(erasure_id)
            if known != last:
                yield known
            last = known
            if known.complete_time is None:
                await asyncio.sleep(PAUSE)


def _forgotten(message: service_pb2.ErasedByService) -> Forgotten:
    done = message.HasField("forget_time")
    time = _time(message.forget_time) if done else None
    return Forgotten(message.service, dict(message.erased), time)


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC).astimezone()
