"""What happens around every RPC, whatever its kind: who, may they, how long, how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
from opentelemetry.trace import Span, SpanKind, StatusCode

from gyre_runtime.identity import Authenticator, Principal, Unauthenticated, set_current_principal
from gyre_runtime.rpc.call import Call, current_call
from gyre_runtime.rpc.faults import RpcFault, details_of, fault_of
from gyre_runtime.rpc.rate import TenantRate
from gyre_runtime.settings import RuntimeSettings
from gyre_runtime.telemetry import counter, histogram, logger, names, tracer
from gyre_runtime.telemetry.traces import context_of

DETAILS = "grpc-status-details-bin"
_log = logger("gyre.rpc")
_tracer = tracer("gyre.rpc")
_calls = counter("rpc_calls", "RPCs by method and status", ["method", "status"])
_seconds = histogram("rpc_seconds", "Time of RPCs from arrival to end", ["method"])


@dataclass(frozen=True)
class Method:
    """name: `/package.Service/Method`. streams: whether the reply is a stream."""

    name: str
    streams: bool


Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Door:
    """Deny by default: a method without roles is open to nobody."""

    def __init__(self, settings: RuntimeSettings, roles: Mapping[str, frozenset[str]]) -> None:
        self._settings = settings
        self._roles = roles
        self._authenticator = Authenticator(settings)
        self._rate = TenantRate(settings.grpc_tenant_rate)

    @asynccontextmanager
    async def serving(self, method: Method, context: Context) -> AsyncIterator[None]:
        """Around the servicer's work; its exceptions end the RPC with their status."""
        metadata = dict(context.invocation_metadata() or ())
        started = time.perf_counter()
        with self._span(method, str(metadata.get("traceparent", ""))) as span:
            status = grpc.StatusCode.OK
            try:
                authorization = str(metadata.get("authorization", ""))
                self._admit(method, authorization)
                async with asyncio.timeout(self._budget(method, context, authorization)):
                    yield
            except grpc.aio.AbortError:  # the servicer itself chose a status
                status = context.code()
                raise
            except asyncio.CancelledError:  # the caller went away, or its deadline passed
                status = grpc.StatusCode.CANCELLED
                raise
            except Exception as error:
                fault = fault_of(error)
                status = fault.code
                _note(method, fault, error, span)
                await _abort(context, fault)
            finally:
                _calls.labels(method.name, status.name).inc()
                _seconds.labels(method.name).observe(time.perf_counter() - started)

    def _admit(self, method: Method, authorization: str) -> None:
        principal = self._principal(authorization)
        if not principal.may(self._roles.get(method.name, frozenset())):
            raise RpcFault(
                grpc.StatusCode.PERMISSION_DENIED,
                f"{principal.name} has none of the roles that may call {method.name}",
            )
        self._rate.take(principal.tenant)
        set_current_principal(principal)

    def _principal(self, authorization: str) -> Principal:
        try:
            return self._authenticator.principal(authorization)
        except Unauthenticated as error:
            raise RpcFault(grpc.StatusCode.UNAUTHENTICATED, str(error)) from error

    def _budget(self, method: Method, context: Context, authorization: str) -> float:
        """Seconds that the RPC may take: the caller's deadline, capped."""
        remaining: float | None = context.time_remaining()
        if remaining is None and not method.streams:
            raise RpcFault(grpc.StatusCode.INVALID_ARGUMENT, "set a deadline on the call")
        settings = self._settings
        cap = settings.grpc_stream_deadline if method.streams else settings.grpc_unary_deadline
        budget = cap if remaining is None else min(remaining, cap)
        current_call.set(Call(authorization, time.monotonic() + budget))
        return budget

    def _span(self, method: Method, traceparent: str):  # type: ignore[no-untyped-def]
        return _tracer.start_as_current_span(
            method.name.lstrip("/"),
            context=context_of(traceparent),
            kind=SpanKind.SERVER,
            record_exception=False,
            attributes={names.RPC_SYSTEM: "grpc", names.RPC_METHOD: method.name.lstrip("/")},
        )


def _note(method: Method, fault: RpcFault, error: Exception, span: Span) -> None:
    span.set_attribute(names.RPC_STATUS, fault.code.name)
    if fault.code is not grpc.StatusCode.INTERNAL:
        return
    span.set_status(StatusCode.ERROR)
    span.set_attribute(names.ERROR_TYPE, type(error).__name__)
    _log.error("rpc_failed", method=method.name, exc_info=error)


async def _abort(context: Context, fault: RpcFault) -> None:
    await context.abort(fault.code, fault.message, ((DETAILS, details_of(fault)),))
