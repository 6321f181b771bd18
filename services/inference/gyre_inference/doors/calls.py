"""What every door does: who calls, and what a fault becomes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from gyre_runtime.identity import current_principal
from gyre_runtime.rpc import RpcFault
from opentelemetry import trace

from gyre_inference.domain.faults import Fault, InvalidRequest
from gyre_inference.domain.record import Caller

Context = grpc.aio.ServicerContext[Any, Any]
_PAGE = 50
_LARGEST_PAGE = 200


@contextmanager
def faults_as_status() -> Iterator[None]:
    """A `Fault` becomes its status, with the fields that are wrong."""
    try:
        yield
    except Fault as fault:
        violations = fault.violations if isinstance(fault, InvalidRequest) else {}
        raise RpcFault(
            grpc.StatusCode[fault.status],
            fault.detail,
            violations=violations,
            retry_after=fault.retry_after,
        ) from fault


def caller_of(context: Context) -> Caller:
    """As the credential says."""
    principal = current_principal()
    remaining = context.time_remaining()
    span = trace.get_current_span().get_span_context()
    return Caller(
        tenant=principal.tenant,
        principal=principal.name,
        trace_id=trace.format_trace_id(span.trace_id) if span.is_valid else "",
        deadline=None if remaining is None else time.monotonic() + remaining,
    )


def page_size(asked: int) -> int:
    """Raises `InvalidRequest`."""
    if not 0 <= asked <= _LARGEST_PAGE:
        raise InvalidRequest({"page_size": f"must be 1 to {_LARGEST_PAGE}, or 0 for {_PAGE}"})
    return asked or _PAGE


def number_in(token: str, otherwise: int) -> int:
    """Of a page token. Raises `InvalidRequest`."""
    if token and not (token.isdecimal() and len(token) < 10):
        raise InvalidRequest({"page_token": "is not from the page before"})
    return int(token) if token else otherwise
