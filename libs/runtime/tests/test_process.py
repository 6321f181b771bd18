"""The start and the end of one process of a service."""

from __future__ import annotations

import asyncio
import contextlib

from gyre_runtime.process import Service
from gyre_runtime.settings import RuntimeSettings


async def test_a_swallowed_cancellation_does_not_keep_a_service_from_its_end():
    """As `wait_for` of Python 3.11 swallows one that comes with what it waits for."""
    waits: list[str] = []

    async def work() -> None:
        waits.append("deaf")
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        waits.append("listening")
        await asyncio.sleep(3600)

    service = Service(RuntimeSettings(), "test", background=[work])
    await service.start()
    await asyncio.sleep(0)
    async with asyncio.timeout(150):
        await service.stop()
    assert waits == ["deaf", "listening"]
