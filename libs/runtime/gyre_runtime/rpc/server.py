"""The gRPC server of a service, with health, reflection and a drain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from gyre_runtime.rpc.door import Door
from gyre_runtime.rpc.interceptor import DoorInterceptor
from gyre_runtime.settings import RuntimeSettings

DRAIN_NOTICE = 0.2
AddToServer = Callable[[Any, grpc.aio.Server], None]
VERSION_KEY = "gyre-version"
_SERVING = health_pb2.HealthCheckResponse.SERVING


class RpcServer:
    """Refuses at once what it has no room for; 4 MB per message, larger things are streamed."""

    def __init__(self, settings: RuntimeSettings, *, service: str) -> None:
        self._settings = settings
        self._service = service
        self._roles: dict[str, frozenset[str]] = {}
        self._parts: list[tuple[AddToServer, object]] = []
        self._names: list[str] = []
        self._health = _Health(service)
        self._server: grpc.aio.Server | None = None
        self.port = 0

    def add(
        self,
        add_to_server: AddToServer,
        servicer: object,
        descriptor: ServiceDescriptor,
        *,
        roles: Mapping[str, frozenset[str]],
    ) -> None:
        """roles: method name -> roles that may call it; a method left out is open to nobody.

        Raises ValueError for a method that the service does not have.
        """
        unknown = set(roles) - {method.name for method in descriptor.methods}
        if unknown:
            raise ValueError(f"{descriptor.full_name} has no method {sorted(unknown)}")
        self._parts.append((add_to_server, servicer))
        self._names.append(descriptor.full_name)
        for name, allowed in roles.items():
            self._roles[f"/{descriptor.full_name}/{name}"] = allowed

    async def start(self) -> None:
        """Raises RuntimeError when the address cannot be bound."""
        server = grpc.aio.server(
            interceptors=[DoorInterceptor(Door(self._settings, self._roles))],
            options=_options(self._settings),
            maximum_concurrent_rpcs=self._settings.grpc_concurrent_rpcs,
        )
        for add_to_server, servicer in self._parts:
            add_to_server(servicer, server)
        self._health = _Health(self._service)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(
            (*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME), server
        )
        self.port = self._bind(server)
        await server.start()
        self._server = server
        for name in ("", *self._names):
            await self._health.set(name, _SERVING)

    async def stop(self) -> None:
        """Says NOT_SERVING, lets RPCs in flight end, then closes. May be repeated."""
        server, self._server = self._server, None
        if server is None:
            return
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(DRAIN_NOTICE)
        await server.stop(self._settings.stop_timeout)

    def _bind(self, server: grpc.aio.Server) -> int:
        settings = self._settings
        if settings.grpc_tls_cert_file is None or settings.grpc_tls_key_file is None:
            return server.add_insecure_port(settings.grpc_address)
        pair = (settings.grpc_tls_key_file.read_bytes(), settings.grpc_tls_cert_file.read_bytes())
        return server.add_secure_port(settings.grpc_address, grpc.ssl_server_credentials([pair]))


class _Health(health.aio.HealthServicer):
    """Tells the service's version as well, in the call's initial metadata."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._metadata = ((VERSION_KEY, _version(service)),)

    async def Check(  # noqa: N802  named by the proto
        self, request: health_pb2.HealthCheckRequest, context: Any
    ) -> health_pb2.HealthCheckResponse:
        await context.send_initial_metadata(self._metadata)
        return await super().Check(request, context)


def _version(service: str) -> str:
    try:
        return version(f"gyre-{service}")
    except PackageNotFoundError:
        return "unknown"


def _options(settings: RuntimeSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.grpc_message_limit),
        ("grpc.max_send_message_length", settings.grpc_message_limit),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_connection_age_ms", 30 * 60_000),
        ("grpc.max_connection_age_grace_ms", 60 * 60_000),
    ]
