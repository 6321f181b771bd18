"""The parent's side: starts the process when it is needed, ends it after a while without work."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import orjson

LINE_LIMIT = 256 * 1024 * 1024
IDLE_SECONDS = 300.0
# One thread: this process must not crowd out the services beside it. And it tells nobody of itself.
SURROUNDINGS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MPLBACKEND": "svg",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}


class JobFailed(Exception):
    """The job raised, took too long, or ended the process. Repeating it may help only if the
    process was ended from outside."""


class Worker:
    """One process, one job at a time; others wait. A process that dies is replaced by the next job.

    memory: bytes it may use. seconds: longest time of a job.
    """

    def __init__(self, *, memory: int, seconds: float) -> None:
        self._memory, self._seconds = memory, seconds
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._idle: asyncio.TimerHandle | None = None

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
        return answer["result"]

    async def close(self) -> None:
        """May be repeated; the next job starts a new process."""
        if self._idle is not None:
            self._idle.cancel()
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _asked(self, line: bytes) -> Any:
        process = await self._alive()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            async with asyncio.timeout(self._seconds):
                process.stdin.write(line)
                await process.stdin.drain()
                answer = await process.stdout.readline()
            if not answer:
                raise JobFailed("the process ended, perhaps for want of memory")
            return orjson.loads(answer)
        except (TimeoutError, ConnectionError) as error:
            await self.close()
            raise JobFailed(f"no answer within {self._seconds:.0f} s, or none at all") from error
        except BaseException:  # out of step: an answer nobody waits for would be read as the next
            await asyncio.shield(self.close())
            raise
        finally:
            self._rest()

    async def _alive(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gyre_evaluation.adapters.worker", str(self._memory)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                # Nothing of our own environment: it may hold secrets.
                env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **SURROUNDINGS},
                limit=LINE_LIMIT,
                start_new_session=True,
            )
        return self._process

    def _rest(self) -> None:
        loop = asyncio.get_running_loop()
        if self._idle is not None:
            self._idle.cancel()
        self._idle = loop.call_later(IDLE_SECONDS, lambda: loop.create_task(self._sleep()))

    async def _sleep(self) -> None:
        if not self._turn.locked():
            await self.close()
