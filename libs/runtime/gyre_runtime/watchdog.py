"""A process that cannot help itself ends, so that the supervisor starts a new one."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time

from gyre_runtime.telemetry import logger

EXIT_CODE = 70
_log = logger("gyre.process")


def end_process(reason: str) -> None:
    """Ends at once with code 70: nothing in flight is lost, the bus delivers it again."""
    _log.critical("process_ends", reason=reason)
    sys.stderr.flush()
    os._exit(EXIT_CODE)


class Watchdog:
    """A thread that ends the process when the event loop stands still for `limit` seconds."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._beat = time.monotonic()
        self._stopped = threading.Event()
        self._beating: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._beat = time.monotonic()
        self._beating = asyncio.get_running_loop().create_task(self._beat_on())
        threading.Thread(target=self._watch, name="loop-watchdog", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        if self._beating is not None:
            self._beating.cancel()

    async def _beat_on(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(self._limit / 10)

    def _watch(self) -> None:
        last_look = time.monotonic()
        while not self._stopped.wait(self._limit / 10):
            now = time.monotonic()
            if now - last_look > self._limit / 2:
                self._beat = now  # the whole process was paused: give the loop its turn
            elif now - self._beat > self._limit:
                end_process(f"the event loop stood still for over {self._limit} s")
            last_look = now
