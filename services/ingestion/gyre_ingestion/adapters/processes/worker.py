"""One process that answers one question after another, seen from its parent."""

import asyncio
import json
import logging
import os
import sys
from contextlib import suppress
from dataclasses import dataclass

from gyre_ingestion.adapters.processes import wire

_START_SECONDS = 60
_COMPLAINT_BYTES = 4_096

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """How a worker is started: a module that serves, what it may use, what it is told."""

    module: str
    memory_bytes: int
    seconds: int
    argument: str

    def command(self) -> list[str]:
        """The command line."""
        limits = [str(self.memory_bytes), str(self.seconds)]
        return [sys.executable, "-m", self.module, *limits, self.argument]


class WorkerDied(Exception):
    """The process ended before it answered. `code` is minus the signal, as asyncio says it."""

    def __init__(self, code: int, complaint: str) -> None:
        super().__init__(f"the process ended with {code}")
        self.code = code
        self.complaint = complaint


class Worker:
    """A process that is ready. Not for two tasks at once."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._complaint = b""
        self._listening = asyncio.create_task(self._listen(process.stderr))
        self.jobs = self.peak_kilobytes = 0

    @classmethod
    async def start(cls, recipe: Recipe) -> "Worker":
        """Starts the process and waits until it has loaded what it needs."""
        process = await asyncio.create_subprocess_exec(
            *recipe.command(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # Nothing of our own environment: it may hold secrets.
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        fresh = cls(process)
        try:
            async with asyncio.timeout(_START_SECONDS):
                greeting = json.loads(await fresh._answer())
        except BaseException:
            await asyncio.shield(fresh.kill())
            raise
        if not greeting["confined"]:
            _log.warning("a worker keeps its network: this kernel refuses seccomp filters")
        return fresh

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.returncode is not None

    async def ask(self, first: bytes, second: bytes) -> bytes:
        """Its answer; `WorkerDied` when it ends instead."""
        self.jobs += 1
        with suppress(BrokenPipeError, ConnectionResetError):
            self._stdin.write(wire.frame(first) + wire.frame(second))
            await self._stdin.drain()
        return await self._answer()

    async def kill(self) -> None:
        """Ends it and waits for its end."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._listening

    async def _answer(self) -> bytes:
        size = wire.LENGTH.size
        try:
            (self.peak_kilobytes,) = wire.LENGTH.unpack(await self._stdout.readexactly(size))
            (length,) = wire.LENGTH.unpack(await self._stdout.readexactly(size))
            return await self._stdout.readexactly(length)
        except asyncio.IncompleteReadError as end:
            code = await self._process.wait()
            await self._listening
            raise WorkerDied(code, self._complaint.decode(errors="replace")) from end

    async def _listen(self, stderr: asyncio.StreamReader) -> None:
        while piece := await stderr.read(_COMPLAINT_BYTES):
            self._complaint = (self._complaint + piece)[-_COMPLAINT_BYTES:]
