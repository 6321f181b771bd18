"""Telemetry of one process: switched on at its start, flushed at its end."""

from __future__ import annotations

import asyncio
from typing import Any

from prometheus_client import start_http_server

from gyre_runtime.settings import RuntimeSettings
from gyre_runtime.telemetry.logs import configure_logs
from gyre_runtime.telemetry.traces import configure_traces


class Telemetry:
    """`start` may be called once per process for logs and traces; metrics get their own port."""

    def __init__(self, settings: RuntimeSettings, service: str) -> None:
        self._settings = settings
        self._service = service
        self._provider: Any = None
        self._server: Any = None

    def start(self) -> None:
        """Raises OSError when the metrics port is taken."""
        configure_logs(self._settings.log_level, self._service)
        self._provider = configure_traces(self._service, self._settings.otlp_endpoint)
        if self._settings.metrics_port:
            address = self._settings.metrics_host
            self._server, _ = start_http_server(self._settings.metrics_port, address)

    async def stop(self) -> None:
        if self._server is not None:
            await asyncio.to_thread(self._server.shutdown)
            self._server.server_close()
        if self._provider is not None and self._settings.otlp_endpoint:
            await asyncio.to_thread(self._provider.force_flush, 3000)
