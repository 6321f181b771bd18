"""Starts programs in order, restarts what dies, heals what hangs, stops users before the used."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gyre_local.program import Program, State

POLL = 0.2
CHECK = 3.0
MISSES = 3
LONGEST_PAUSE = 10.0


@dataclass
class Running:
    """A program and what became of it."""

    program: Program
    settled: asyncio.Event
    gone: asyncio.Event
    state: State = State.WAITING
    restarts: int = 0
    process: asyncio.subprocess.Process | None = None
    detail: str = ""


class Supervisor:
    """Keeps `programs` running until `stop` is called; tells what it sees in `status_file`."""

    def __init__(self, programs: Sequence[Program], state: Path, *, stop_timeout: float) -> None:
        self._running = {
            one.name: Running(one, asyncio.Event(), asyncio.Event()) for one in programs
        }
        self._logs = state / "log"
        self._status_file = state / "status.json"
        self._stop_timeout = stop_timeout
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Asks for the end; may be repeated."""
        self._stopping.set()

    def look(self, name: str) -> Running:
        """What became of one program; raises KeyError when there is none of that name."""
        return self._running[name]

    async def run(self) -> bool:
        """Returns after `stop`, or as soon as a program that runs once failed (then False)."""
        self._logs.mkdir(parents=True, exist_ok=True)
        keepers = [asyncio.create_task(self._keep(one)) for one in self._running.values()]
        try:
            await self._stopping.wait()
        finally:
            await self._stop_all(keepers)
        return all(one.state is not State.FAILED for one in self._running.values())

    async def _keep(self, one: Running) -> None:
        await self._wait_for(one.program.after)
        pause = POLL
        while not self._stopping.is_set():
            try:
                await self._start(one)
                code = await self._watch(one)
                _end_group(one)
            except OSError as error:
                code, one.detail = -1, str(error)
            if one.program.once or self._stopping.is_set():
                self._ended(one, code)
                return
            pause = POLL if one.state is State.HEALTHY else min(2 * pause, LONGEST_PAUSE)
            self._say(one, State.STARTING, f"ended with {code}; see {self._log(one)}")
            one.restarts += 1
            await asyncio.sleep(pause)

    async def _wait_for(self, names: Sequence[str]) -> None:
        for name in names:
            await self._running[name].settled.wait()

    async def _start(self, one: Running) -> None:
        self._say(one, State.STARTING, one.detail)
        await asyncio.to_thread(one.program.prepare)
        with self._log(one).open("ab") as log:
            one.process = await asyncio.create_subprocess_exec(
                *one.program.command,
                env={**os.environ, **one.program.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _watch(self, one: Running) -> int:
        """Returns the exit code; meanwhile looks after the program's health."""
        assert one.process is not None
        ended = asyncio.create_task(one.process.wait())
        misses, was_well = 0, False
        while not ended.done():
            if self._stopping.is_set():
                return await ended
            healthy = not one.program.once and await asyncio.to_thread(one.program.healthy)
            if healthy and one.state is not State.HEALTHY:
                self._say(one, State.HEALTHY)
                one.settled.set()
            was_well, misses = was_well or healthy, 0 if healthy else misses + 1
            if was_well and misses >= MISSES:
                self._say(one, State.STARTING, "does not answer; healing")
                await asyncio.to_thread(one.program.heal)
                misses = 0
            pause = CHECK if was_well else POLL
            await asyncio.wait([ended], timeout=pause)
        return ended.result()

    def _ended(self, one: Running, code: int) -> None:
        if one.program.once and code == 0:
            self._say(one, State.DONE)
            one.settled.set()
        elif one.program.once and not self._stopping.is_set():
            self._say(one, State.FAILED, f"ended with {code}; see {self._log(one)}")
            self.stop()
        else:
            self._say(one, State.STOPPED)

    async def _stop_all(self, keepers: Sequence[asyncio.Task[None]]) -> None:
        pairs = zip(self._running.values(), keepers, strict=True)
        await asyncio.gather(*(self._stop_in_turn(one, keeper) for one, keeper in pairs))

    async def _stop_in_turn(self, one: Running, keeper: asyncio.Task[None]) -> None:
        """When all that need the program are gone; the others stop meanwhile."""
        for other in self._running.values():
            if one.program.name in (*other.program.after, *other.program.uses):
                await other.gone.wait()
        await self._stop(one)
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper
        if one.state is not State.FAILED and one.state is not State.DONE:
            self._say(one, State.STOPPED, one.detail)
        one.gone.set()

    async def _stop(self, one: Running) -> None:
        process = one.process
        if process is None or process.returncode is not None:
            return
        process.send_signal(one.program.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), self._stop_timeout)
        except TimeoutError:
            one.detail = "did not stop in time and was killed"
        _end_group(one)
        await process.wait()

    def _log(self, one: Running) -> Path:
        return self._logs / f"{one.program.name}.log"

    def _say(self, one: Running, state: State, detail: str = "") -> None:
        one.state, one.detail = state, detail
        staged = self._status_file.with_suffix(".tmp")
        staged.write_text(json.dumps(self._status(), indent=2) + "\n")
        staged.replace(self._status_file)

    def _status(self) -> dict[str, object]:
        return {
            "pid": os.getpid(),
            "programs": {
                name: {
                    "state": one.state,
                    "pid": one.process.pid if one.process else None,
                    "restarts": one.restarts,
                    "address": one.program.address,
                    "detail": one.detail,
                    "log": str(self._log(one)),
                }
                for name, one in self._running.items()
            },
        }


def _end_group(one: Running) -> None:
    """Children outlive a killed parent: a model's process keeps its memory for ever."""
    assert one.process is not None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(one.process.pid, signal.SIGKILL)
