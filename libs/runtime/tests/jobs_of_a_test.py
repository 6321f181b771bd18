"""Jobs for the worker's tests."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

JOBS = {
    name: f"jobs_of_a_test:{name}" for name in ("echo", "wrong", "slow", "die", "chat", "memory")
}


def echo(given: Any) -> Any:
    return {"given": given, "pid": os.getpid(), "environment": sorted(os.environ)}


def wrong(given: Any) -> Any:
    raise ValueError(given)


def slow(given: float) -> str:
    time.sleep(given)
    return "too late"


def die(_given: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def chat(given: str) -> str:
    print("a library that prints", flush=True)
    return given


def memory(given: int) -> int:
    return len(bytearray(given))
