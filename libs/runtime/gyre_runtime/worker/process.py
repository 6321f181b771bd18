"""The parent's side: starts the process when it is needed, ends it after a while without work."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import orjson

LINE_LIMIT = 256 * 1024 * 1024
START_SECONDS = 180.0
IDLE_SECONDS = 300.0
# One thread: this process must not crowd out the services beside it. And it tells nobody of itself.
SURROUNDINGS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "DO_NOT_TRACK": "true"}


class JobFailed(Exception):
    """The job raised, took too long, or ended the process. Repeating it may help only if the
    process was ended from outside."""


class Worker:
    """One process, one job at a time; others wait. A process that dies is replaced by the next job.

    seconds: longest time of a job. environment: all that the process has; None is our own. idle:
    seconds without work after which it is ended; None is never. grace: seconds in which it may end
    by itself before it is killed.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        seconds: float,
        environment: Mapping[str, str] | None = None,
        idle: float | None = IDLE_SECONDS,
        grace: float = 0.0,
    ) -> None:
        self._command, self._environment = tuple(command), environment
        self._seconds, self._idle_seconds, self._grace = seconds, idle, grace
        self._turn = asyncio.Lock()
        self._process: Process | None = None
        self._idle: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """Of the process; None where there is none now."""
        return None if self._process is None else self._process.pid

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def ask(self, job: str, given: Any) -> Any:
        """The job's answer. Raises `JobFailed`."""
        line = orjson.dumps({"job": job, "given": given}, option=orjson.OPT_SERIALIZE_NUMPY)
        async with self._turn:
            answer = await self._asked(line + b"\n")
        if "error" in answer:
            raise JobFailed(f"{job}: {answer['error']}")
        return answer["ok"]

    async def close(self) -> None:
        """May be repeated; the next job starts a new process."""
        if self._idle is not None:
            self._idle.cancel()
        process, self._process = self._process, None
        if process is not None:
            await _end(process, self._grace)

    async def _asked(self, line: bytes) -> Any:
        try:
            process = await self._alive()
            async with asyncio.timeout(self._seconds):
                return await _exchange(process, line)
        except (TimeoutError, OSError) as error:
            await self.close()
            raise JobFailed(f"no answer within {self._seconds:.0f} s, or none at all") from error
        except BaseException:  # out of step: an answer nobody waits for would be read as the next
            await asyncio.shield(self.close())
            raise
        finally:
            self._rest()

    async def _alive(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=PIPE,
                stdout=PIPE,
                env=self._environment,
                limit=LINE_LIMIT,
                start_new_session=True,
            )
            async with asyncio.timeout(START_SECONDS):
                await _line(self._process)
        return self._process

    def _rest(self) -> None:
        loop = asyncio.get_running_loop()
        if self._idle is not None:
            self._idle.cancel()
        if self._idle_seconds is not None:
            self._idle = loop.call_later(
                self._idle_seconds, lambda: loop.create_task(self._sleep())
            )

    async def _sleep(self) -> None:
        if not self._turn.locked():
            await self.close()


def worker_of(
    module: str, *, memory: int, seconds: float, environment: Mapping[str, str] | None = None
) -> Worker:
    """A worker for the jobs that the table `JOBS` of a module names.

    memory: bytes it may use. environment: what it needs, such as credentials of a server; it sees
    nothing of our own environment, which may hold other secrets.
    """
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return Worker(
        (sys.executable, "-m", "gyre_runtime.worker", module, str(memory)),
        seconds=seconds,
        environment={**path, **SURROUNDINGS, **(environment or {})},
    )


async def _exchange(process: Process, line: bytes) -> Any:
    assert process.stdin is not None
    process.stdin.write(line)
    await process.stdin.drain()
    return await _line(process)


async def _line(process: Process) -> Any:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise JobFailed("the process ended, perhaps for want of memory")
    return orjson.loads(line)


async def _end(process: Process, grace: float) -> None:
    """Its input's end is its own; one that does not hear is killed."""
    if grace and process.stdin is not None:
        process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await process.wait()
                return
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()
