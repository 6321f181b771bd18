"""Work in a process of its own: answered, told what failed, replaced where it died."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gyre_runtime.worker import JobFailed, Worker, worker_of

MEMORY = 1_000_000_000
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table lies beside this file."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    given = {"WANTED": "yes"}
    made = worker_of("jobs_of_a_test", memory=MEMORY, seconds=PATIENCE, environment=given)
    async with made as one:
        yield one


async def test_it_answers_with_nothing_of_our_environment_but_what_is_given(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GYRE_SECRET", "no")
    told = await worker.ask("echo", {"a": [1, None, "ö"]})
    assert told["given"] == {"a": [1, None, "ö"]}
    assert told["pid"] == worker.pid != os.getpid()
    assert "WANTED" in told["environment"]
    assert "GYRE_SECRET" not in told["environment"]


async def test_a_job_that_fails_says_so_and_the_next_one_works(worker: Worker) -> None:
    with pytest.raises(JobFailed, match="wrong: ValueError: so"):
        await worker.ask("wrong", "so")
    with pytest.raises(JobFailed, match="KeyError"):
        await worker.ask("unknown", None)
    with pytest.raises(JobFailed, match="MemoryError"):
        await worker.ask("memory", 2 * MEMORY)
    assert await worker.ask("chat", "answer") == "answer"


async def test_a_process_that_died_is_replaced(worker: Worker) -> None:
    first = (await worker.ask("echo", 1))["pid"]
    with pytest.raises(JobFailed):
        await worker.ask("die", None)
    assert (await worker.ask("echo", 1))["pid"] != first


async def test_what_takes_too_long_is_ended_with_its_process() -> None:
    async with worker_of("jobs_of_a_test", memory=MEMORY, seconds=0.2) as worker:
        with pytest.raises(JobFailed, match=r"within 0 s"):
            await worker.ask("slow", 600)
        assert worker.pid is None


async def test_an_answer_that_nobody_waits_for_is_not_read_as_the_next(worker: Worker) -> None:
    await worker.ask("echo", 1)
    asked = asyncio.create_task(worker.ask("slow", 600))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert (await worker.ask("echo", 2))["given"] == 2


async def test_questions_take_turns(worker: Worker) -> None:
    told = await asyncio.gather(*(worker.ask("echo", number) for number in range(5)))
    assert [one["given"] for one in told] == list(range(5))
    assert len({one["pid"] for one in told}) == 1


async def test_without_work_its_process_is_ended_and_comes_back(toolbox: Any) -> None:
    command = (sys.executable, "-m", "gyre_runtime.worker", "jobs_of_a_test", str(MEMORY))
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    async with Worker(command, seconds=PATIENCE, environment=path, idle=0.05, grace=5) as worker:
        await worker.ask("echo", 1)
        await toolbox.eventually(lambda: worker.pid is None)
        assert (await worker.ask("echo", 2))["given"] == 2


async def test_a_process_that_cannot_be_started_is_a_job_that_failed() -> None:
    async with Worker(("/no/such/program",), seconds=1) as worker:
        with pytest.raises(JobFailed):
            await worker.ask("echo", 1)
    async with worker_of("no_such_module", memory=MEMORY, seconds=PATIENCE) as worker:
        with pytest.raises(JobFailed, match="ended"):
            await worker.ask("echo", 1)
