"""One process of a service: one start, one drain, and an exit code that says how it ended."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeVar

from pydantic import ValidationError

from gyre_runtime import __version__
from gyre_runtime.bus import Bus
from gyre_runtime.database import Database
from gyre_runtime.ending import end
from gyre_runtime.rpc import RpcServer
from gyre_runtime.settings import RuntimeSettings
from gyre_runtime.telemetry import Telemetry, logger
from gyre_runtime.watchdog import Watchdog, end_process

BAD_SETTINGS = 64
_log = logger("gyre.process")
SettingsT = TypeVar("SettingsT", bound=RuntimeSettings)


class Service:
    """Starts resources, database, bus, RPC server, then background tasks; stops in reverse.

    background: called at the start; a task that ends with an exception ends the process.
    resources: entered first, left last (clients of other servers, doors of another kind).
    """

    def __init__(
        self,
        settings: RuntimeSettings,
        name: str,
        *,
        bus: Bus | None = None,
        rpc: RpcServer | None = None,
        database: Database | None = None,
        background: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
        resources: Sequence[AbstractAsyncContextManager[Any]] = (),
    ) -> None:
        self.settings = settings
        self.name = name
        self.bus = bus
        self.rpc = rpc
        self.database = database
        self._background = background
        self._resources = resources
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """For tests and for `run`; what was started is stopped when a later part fails."""
        async with AsyncExitStack() as stack:
            for resource in self._resources:
                await stack.enter_async_context(resource)
            for part in (self.database, self.bus, self.rpc):
                if part is not None:
                    stack.push_async_callback(part.stop)
                    await part.start()
            for task in self._background:
                stack.push_async_callback(end, [_spawn(task)])
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """May be repeated."""
        await self._stack.aclose()

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT, then drains; returns when all is stopped."""
        telemetry = Telemetry(self.settings, self.name)
        watchdog = Watchdog(self.settings.stall_timeout)
        told = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, told.set)
        telemetry.start()
        watchdog.start()
        try:
            await self._serve_until(told)
        finally:
            watchdog.stop()
            await telemetry.stop()

    async def _serve_until(self, told: asyncio.Event) -> None:
        starting = asyncio.create_task(self.start())
        stopping = asyncio.create_task(told.wait())
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            _log.info("ready", service=self.name, rpc_port=self.rpc and self.rpc.port)
            await stopping
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        _log.info("stopping", service=self.name)
        await self.stop()
        _log.info("stopped", service=self.name)


def main(build: Callable[[SettingsT], Service], settings: type[SettingsT]) -> None:
    """The command line of a service: `--help` lists its settings, `--version` says its version."""
    parser = argparse.ArgumentParser(
        description="Runs the service until it is told to stop (SIGTERM).",
        epilog=_describe(settings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.parse_args()
    try:
        chosen = settings()
    except ValidationError as error:
        sys.stderr.write(f"settings: {error}\n")
        raise SystemExit(BAD_SETTINGS) from None
    asyncio.run(_run(build, chosen))


async def _run(build: Callable[[SettingsT], Service], settings: SettingsT) -> None:
    # Inside of the loop: a gRPC channel belongs to the loop that it was made in.
    await build(settings).run()


def _describe(settings: type[RuntimeSettings]) -> str:
    lines = ["settings (environment variables):"]
    for name, field in settings.model_fields.items():
        lines.append(f"  GYRE_{name.upper()}\n      {field.description or ''}")
    return "\n".join(lines)


def _spawn(work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
    task = asyncio.create_task(work())
    task.add_done_callback(_end_with)
    return task


def _end_with(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        end_process(f"a background task ended: {task.exception()!r}")
