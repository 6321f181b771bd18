"""The end of tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN = 2.0  # seconds; what is cleared up meanwhile is short


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels until they end: a `wait_for` inside (nats-py has some) may swallow a cancellation."""
    ending = list(tasks)
    pending = set(ending)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN)
    await asyncio.gather(*ending, return_exceptions=True)  # nobody else asks for their exceptions
