"""Events that may have ended the process: one at a time, and none while the process is young."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Suspects:
    """Shared by the consumers of one process. delay: seconds from now before the first is tried,
    so that an event is not blamed for what ends every new process (a crash loop, lack of memory).
    """

    def __init__(self, delay: float) -> None:
        self._trusted = time.monotonic() + delay
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """No other suspect runs inside of the block."""
        async with self._lock:
            await asyncio.sleep(max(0.0, self._trusted - time.monotonic()))
            yield
