"""Channels to other services: they pass on who asks, until when, and the trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import grpc

from gyre_runtime.rpc.call import current_call
from gyre_runtime.settings import RuntimeSettings
from gyre_runtime.telemetry import current_traceparent

_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
}

# gRPC's own pauses grow to two minutes: a caller would miss a server that is back for so long.
RECONNECTING = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


def channel(address: str, settings: RuntimeSettings) -> grpc.aio.Channel:
    """Opens no connection yet. Retries UNAVAILABLE only, throttled. A call made while an RPC is
    served carries its authorization, its remaining time and its trace; what is set on the call
    itself goes first."""
    options: list[tuple[str, Any]] = [
        ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
        ("grpc.max_receive_message_length", settings.grpc_message_limit),
        ("grpc.max_send_message_length", settings.grpc_message_limit),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        *RECONNECTING,
    ]
    interceptors = [_UnaryUnary(), _UnaryStream(), _StreamUnary(), _StreamStream()]
    if settings.grpc_tls_ca_file is None:
        return grpc.aio.insecure_channel(address, options, interceptors=interceptors)
    credentials = grpc.ssl_channel_credentials(settings.grpc_tls_ca_file.read_bytes())
    return grpc.aio.secure_channel(address, credentials, options, interceptors=interceptors)


def _passed_on(details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
    metadata = grpc.aio.Metadata(*(details.metadata or ()))
    given = {key for key, _ in metadata}
    call = current_call.get()
    if call is not None and call.authorization and "authorization" not in given:
        metadata.add("authorization", call.authorization)
    traceparent = current_traceparent()
    if traceparent and "traceparent" not in given:
        metadata.add("traceparent", traceparent)
    timeouts = (details.timeout, call.remaining if call else None)
    known = [timeout for timeout in timeouts if timeout is not None]
    return grpc.aio.ClientCallDetails(
        method=details.method,
        timeout=min(known) if known else None,
        metadata=metadata,
        credentials=details.credentials,
        wait_for_ready=details.wait_for_ready,
    )


Continuation = Callable[[grpc.aio.ClientCallDetails, Any], Any]


class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Continuation, details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(_passed_on(details), request)


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Continuation, details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(_passed_on(details), request)


class _StreamUnary(grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self, continuation: Continuation, details: grpc.aio.ClientCallDetails, requests: Any
    ) -> Any:
        return await continuation(_passed_on(details), requests)


class _StreamStream(grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Continuation, details: grpc.aio.ClientCallDetails, requests: Any
    ) -> Any:
        return await continuation(_passed_on(details), requests)
