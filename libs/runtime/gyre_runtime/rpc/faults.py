"""Errors of RPCs: canonical status codes with google.rpc details, and no internals."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2

from gyre_runtime.failures import Overloaded


class RpcFault(Exception):
    """Raised by a servicer; the door turns it into a status.

    violations: field -> what is wrong with it. retry_after: seconds. quota: its subject.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        violations: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        quota: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.violations = dict(violations or {})
        self.retry_after = retry_after
        self.quota = quota


def fault_of(error: Exception) -> RpcFault:
    """What the caller is told of any exception."""
    if isinstance(error, RpcFault):
        return error
    if isinstance(error, Overloaded):
        return RpcFault(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            str(error),
            retry_after=error.retry_after,
            quota=error.quota,
        )
    if isinstance(error, TimeoutError):
        return RpcFault(grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline was exceeded")
    return RpcFault(grpc.StatusCode.INTERNAL, "internal error; the trace id finds it in the logs")


def details_of(fault: RpcFault) -> bytes:
    """The `grpc-status-details-bin` trailer."""
    number = code_pb2.Code.Value(fault.code.name)
    status = status_pb2.Status(code=number, message=fault.message)
    if fault.violations:
        status.details.add().Pack(_bad_request(fault.violations))
    if fault.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(int(fault.retry_after * 1000))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    if fault.quota:
        violation = error_details_pb2.QuotaFailure.Violation(
            subject=fault.quota, description=fault.message
        )
        status.details.add().Pack(error_details_pb2.QuotaFailure(violations=[violation]))
    return bytes(status.SerializeToString())


def _bad_request(violations: Mapping[str, str]) -> error_details_pb2.BadRequest:
    kind = error_details_pb2.BadRequest.FieldViolation
    fields = [kind(field=name, description=text) for name, text in violations.items()]
    return error_details_pb2.BadRequest(field_violations=fields)
