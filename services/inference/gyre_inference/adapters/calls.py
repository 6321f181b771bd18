"""Failures of calls to other services, as faults."""

from __future__ import annotations

import time

import grpc

from gyre_inference.domain.faults import (
    DeadlinePassed,
    Fault,
    InvalidRequest,
    NotFound,
    Overloaded,
    Unavailable,
)

_RETRY = 1.0


class Patience:
    """How long we wait for one call; the caller's own deadline may be nearer."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + 0.95 * seconds

    @property
    def is_over(self) -> bool:
        """Whether it was our patience, and not the caller's time, that ended."""
        return time.monotonic() >= self._end


def fault_of(error: grpc.aio.AioRpcError, role: str, field: str, patience: Patience) -> Fault:
    """role: what the service does, for people. field: of our request, that it may refuse."""
    code, detail = error.code(), error.details() or ""
    if code is grpc.StatusCode.NOT_FOUND:
        return NotFound(detail)
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return InvalidRequest({field: detail})
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and not patience.is_over:
        return DeadlinePassed(f"the deadline passed during {role}")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return Overloaded(f"{role} is overloaded", retry_after=_RETRY)
    return Unavailable(f"{role} does not answer, so nothing can be answered", retry_after=_RETRY)
