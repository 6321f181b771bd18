"""The composition root: the platform's RPCs behind, the REST server in front."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from gyre_runtime.process import Service

from gyre_edge.platform import Platform
from gyre_edge.rest import rest
from gyre_edge.settings import Settings


def build(settings: Settings) -> Service:
    """The service, ready to run."""
    platform = Platform(settings)
    return Service(settings, "edge", resources=[platform, RestServer(settings, platform)])


class RestServer:
    """The HTTP server; `port` is known once it is entered."""

    def __init__(self, settings: Settings, platform: Platform) -> None:
        host, _, port = settings.edge_address.rpartition(":")
        self._server = _Server(
            uvicorn.Config(
                rest(settings, platform),
                host=host,
                port=int(port),
                limit_concurrency=settings.edge_concurrent_requests,
                timeout_graceful_shutdown=int(settings.stop_timeout),
                log_config=None,
                access_log=False,
            )
        )

    async def __aenter__(self) -> RestServer:
        self._serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            if self._serving.done():
                self._serving.result()
            await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await self._serving

    @property
    def port(self) -> int:
        """The port it listens on."""
        number: int = self._server.servers[0].sockets[0].getsockname()[1]
        return number


class _Server(uvicorn.Server):
    """Signals are the process's: the server's own handlers would end it at once."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
