"""The supervisor starts in order, restarts what dies, heals what hangs and stops everything."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
from gyre_local.program import Program, State
from gyre_local.supervisor import Supervisor

SLEEPS = (sys.executable, "-c", "import time; time.sleep(600)")
PATIENCE = 150.0


def told(folder: Path) -> dict[str, dict[str, object]]:
    path = folder / "status.json"
    return json.loads(path.read_text())["programs"] if path.exists() else {}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  a test may poll
            await asyncio.sleep(0.02)


@asynccontextmanager
async def supervised(folder: Path, *programs: Program) -> AsyncIterator[asyncio.Task[bool]]:
    supervisor = Supervisor(programs, folder, stop_timeout=2.0)
    task = asyncio.create_task(supervisor.run())
    try:
        yield task
    finally:
        supervisor.stop()
        await task


def state(folder: Path, name: str) -> object:
    return told(folder).get(name, {}).get("state")


async def test_a_program_starts_when_those_before_it_are_healthy(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    first = Program("first", SLEEPS, healthy=gate.exists)
    second = Program("second", SLEEPS, after=("first",))
    async with supervised(tmp_path, first, second):
        await until(lambda: state(tmp_path, "first") == State.STARTING)
        await asyncio.sleep(0.5)
        assert state(tmp_path, "second") in (None, State.WAITING)
        gate.touch()
        await until(lambda: state(tmp_path, "second") == State.HEALTHY)


async def test_a_killed_program_is_started_again(tmp_path: Path) -> None:
    async with supervised(tmp_path, Program("one", SLEEPS)):
        await until(lambda: state(tmp_path, "one") == State.HEALTHY)
        pid = int(str(told(tmp_path)["one"]["pid"]))
        os.kill(pid, signal.SIGKILL)
        await until(lambda: told(tmp_path)["one"]["restarts"] == 1)
        await until(lambda: state(tmp_path, "one") == State.HEALTHY)
        assert told(tmp_path)["one"]["pid"] != pid


async def test_a_program_that_hangs_is_healed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("gyre_local.supervisor.CHECK", 0.05)
    well = tmp_path / "well"
    well.touch()
    hangs = Program("hangs", SLEEPS, healthy=well.exists, heal=well.touch)
    async with supervised(tmp_path, hangs):
        await until(lambda: state(tmp_path, "hangs") == State.HEALTHY)
        well.unlink()
        await until(well.exists)
        await until(lambda: state(tmp_path, "hangs") == State.HEALTHY)
        assert told(tmp_path)["hangs"]["restarts"] == 0


async def test_a_program_that_a_first_healing_did_not_cure_is_healed_again(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("gyre_local.supervisor.CHECK", 0.05)
    well, tries = tmp_path / "well", itertools.count(1)
    well.touch()
    hangs = Program(
        "hangs", SLEEPS, healthy=well.exists, heal=lambda: next(tries) > 1 and well.touch()
    )
    async with supervised(tmp_path, hangs):
        await until(lambda: state(tmp_path, "hangs") == State.HEALTHY)
        well.unlink()
        await until(well.exists)
    assert next(tries) == 3


async def test_a_job_that_fails_ends_everything_and_says_where_to_look(tmp_path: Path) -> None:
    job = Program("job", (sys.executable, "-c", "raise SystemExit(3)"), once=True)
    after = Program("after", SLEEPS, after=("job",))
    async with supervised(tmp_path, job, after) as running:
        assert await asyncio.wait_for(running, PATIENCE) is False
    assert state(tmp_path, "job") == State.FAILED
    assert "job.log" in str(told(tmp_path)["job"]["detail"])


async def test_stopping_leaves_no_process_behind_even_one_that_ignores_the_signal(
    tmp_path: Path,
) -> None:
    ready = tmp_path / "ready"
    stubborn = (
        "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"pathlib.Path({str(ready)!r}).touch(); time.sleep(600)"
    )
    program = Program("stubborn", (sys.executable, "-c", stubborn), healthy=ready.exists)
    async with supervised(tmp_path, program):
        await until(lambda: state(tmp_path, "stubborn") == State.HEALTHY)
        pid = int(str(told(tmp_path)["stubborn"]["pid"]))
    assert not psutil.pid_exists(pid)
    assert state(tmp_path, "stubborn") == State.STOPPED


def ending(told: Path, then: str) -> tuple[str, ...]:
    """A program that makes the file `told` when it is told to stop, and then does `then`."""
    return (
        sys.executable,
        "-c",
        "import pathlib, signal, sys, time\n"
        f"told = pathlib.Path({str(told)!r})\n"
        f"def end(*_):\n told.touch()\n {then}\n sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "told.with_suffix('.up').touch()\n"
        "time.sleep(600)",
    )


def program(told: Path, then: str, **order: tuple[str, ...]) -> Program:
    up = told.with_suffix(".up")
    return Program(told.name, ending(told, then), healthy=up.exists, **order)


def awaiting(other: Path) -> str:
    return f"while not pathlib.Path({str(other)!r}).exists(): time.sleep(0.01)"


async def test_programs_that_do_not_need_each_other_stop_together(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    programs = program(one, awaiting(two)), program(two, awaiting(one))
    async with supervised(tmp_path, *programs):
        await until(lambda: state(tmp_path, "one") == state(tmp_path, "two") == State.HEALTHY)
    for name in ("one", "two"):
        assert (state(tmp_path, name), told(tmp_path)[name]["detail"]) == (State.STOPPED, "")


async def test_a_program_is_told_to_stop_when_those_that_need_it_are_gone(tmp_path: Path) -> None:
    server, user, seen = tmp_path / "server", tmp_path / "user", tmp_path / "seen"
    exists = f"str(pathlib.Path({str(server)!r}).exists())"
    look = f"time.sleep(0.3); pathlib.Path({str(seen)!r}).write_text({exists})"
    programs = program(server, "pass"), program(user, look, uses=("server",))
    async with supervised(tmp_path, *programs):
        await until(lambda: state(tmp_path, "server") == state(tmp_path, "user") == State.HEALTHY)
    assert seen.read_text() == "False"
    assert server.exists()
