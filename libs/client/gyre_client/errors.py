"""What can go wrong, as exceptions that carry the status and say what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status


@dataclass
class GyreError(Exception):
    """A call that failed.

    status: canonical gRPC status, e.g. `UNAVAILABLE`. detail: one sentence for people.
    violations: field -> what is wrong with it. retry_after: seconds to wait, when retrying helps.
    """

    status: str
    detail: str
    violations: Mapping[str, str] = field(default_factory=dict)
    retry_after: float | None = None

    def __str__(self) -> str:
        fields = "".join(f"\n  {name}: {problem}" for name, problem in self.violations.items())
        return f"{self.detail}{fields}"


class InvalidError(GyreError):
    """The request itself is wrong; repeating it changes nothing."""


class NotFoundError(GyreError):
    """What was asked for does not exist for this tenant."""


class NotAllowedError(GyreError):
    """The credential is missing, wrong, or lacks the role."""


class OverloadedError(GyreError):
    """A limit was reached before anything was accepted; wait `retry_after` seconds."""


class UnavailableError(GyreError):
    """A service or what it depends on is down; the call may be repeated."""


class TimedOutError(GyreError):
    """The deadline passed; whether the call took effect is not known, and repeating it is safe."""


# What grpc.aio says when a stream was ended while it was still sending: the status, mostly an early
# refusal, is lost.
STATUS_LOST = "Internal error from Core"
_KINDS: dict[grpc.StatusCode, type[GyreError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.UNAUTHENTICATED: NotAllowedError,
    grpc.StatusCode.PERMISSION_DENIED: NotAllowedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: OverloadedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: TimedOutError,
}


@contextmanager
def raising(address: str) -> Iterator[None]:
    """Turns the gRPC errors of a call to `address` into GyreErrors."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise _translated(error, address) from error


def _translated(error: grpc.aio.AioRpcError, address: str) -> GyreError:
    violations, retry_after = _details(error)
    code = grpc.StatusCode.UNAVAILABLE if error.details() == STATUS_LOST else error.code()
    kind = _KINDS.get(code, GyreError)
    detail = error.details() or code.name
    if kind is UnavailableError and retry_after is None:
        detail = f"{address} does not answer ({detail}); is the platform up? `make status` tells"
    return kind(code.name, detail, violations, retry_after)


def _details(error: grpc.aio.AioRpcError) -> tuple[dict[str, str], float | None]:
    status = rpc_status.from_call(error)
    violations: dict[str, str] = {}
    retry_after: float | None = None
    for packed in status.details if status else ():
        bad, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if packed.Unpack(bad):
            violations |= {one.field: one.description for one in bad.field_violations}
        elif packed.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    return violations, retry_after
