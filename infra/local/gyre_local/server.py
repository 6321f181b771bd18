"""A server as a process of this machine: started, waited for, stopped, killed, started again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

POLL = 0.05


class ServerError(RuntimeError):
    """The server cannot be started or reached; the message says where to look."""


class Server(ABC):
    """One process, to be run by a process manager or by `start` and `stop`.

    A process manager calls `prepare()` before every start, runs `command()` with `environment()`,
    ends it with `stop_signal` and asks `healthy()`. Ports and data are the same at every start.
    """

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    start_timeout_s: ClassVar[float] = 300.0
    _process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def log(self) -> Path:
        """What the process writes, of every start."""

    @property
    @abstractmethod
    def address(self) -> str:
        """host:port that clients connect to."""

    @property
    def stop_timeout_s(self) -> float:
        """Seconds between asking and killing."""
        return 20.0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @abstractmethod
    def command(self) -> list[str]:
        """Raises `ServerError` where the program is not installed."""

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """Additions to the parent's environment."""

    @abstractmethod
    def prepare(self) -> None:
        """Makes folders and files; may be repeated. Raises `ServerError` where a port is taken."""

    @abstractmethod
    def healthy(self) -> bool:
        """Whether it answers."""

    def start(self) -> None:
        """Returns when the server is healthy; raises `ServerError` otherwise."""
        self.prepare()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                env={**os.environ, **self.environment()},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_healthy(self._process)
        except ServerError:
            self.kill()
            raise

    def stop(self) -> None:
        """Asks for a clean end, then kills the process and its children; may be repeated."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """kill -9, as a crash would. May be repeated."""
        self._end(signal.SIGKILL)

    def restart(self, *, kill: bool = False) -> None:
        """On the same ports, with the same data."""
        self._end(signal.SIGKILL if kill else self.stop_signal)
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _wait_healthy(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self.start_timeout_s
        while not self.healthy():
            if process.poll() is not None:
                raise ServerError(f"{self.name} ended while starting: see {self.log}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} did not get healthy: see {self.log}")
            time.sleep(POLL)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self.stop_timeout_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
