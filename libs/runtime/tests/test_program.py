"""A program of another environment: its end, its last words, and that it ends with its caller."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from gyre_runtime.program import run_program

TELLS = "import sys; print('first', file=sys.stderr); sys.exit('last')"
HANGS = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"


async def test_its_code_and_its_last_words_are_told() -> None:
    ended = await run_program([sys.executable, "-c", TELLS], seconds=60.0)
    assert (ended.code, ended.last) == (1, "last")
    killed = "import os; os.kill(os.getpid(), 9)"
    assert (await run_program([sys.executable, "-c", killed], seconds=60.0)).code == -9
    assert (await run_program([sys.executable, "-c", ""], seconds=60.0)).code == 0


async def test_it_ends_with_whoever_waits_for_it(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    command = [sys.executable, "-c", HANGS, str(told)]
    waiting = asyncio.create_task(run_program(command, seconds=60.0))
    while not (told.exists() and told.read_text()):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)
    with pytest.raises(TimeoutError):
        await run_program(command, seconds=0.1)
