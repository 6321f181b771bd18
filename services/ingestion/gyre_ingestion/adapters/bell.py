"""Wakes those who wait for a change of a collection in this process."""

import asyncio
import contextlib
from collections import defaultdict


class Bell:
    """Remembers the number of the newest change, so a change before the wait is not missed."""

    def __init__(self) -> None:
        self._numbers: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._waiting: defaultdict[tuple[str, str], set[asyncio.Event]] = defaultdict(set)

    def ring(self, tenant: str, collection: str, number: int) -> None:
        """Tells of change `number`; may come out of order."""
        key = (tenant, collection)
        self._numbers[key] = max(self._numbers[key], number)
        for waiter in self._waiting.get(key, ()):
            waiter.set()

    async def wait(self, tenant: str, collection: str, after: int, patience: float) -> None:
        """Returns at once when a later change than `after` was rung for, else after a ring."""
        key = (tenant, collection)
        if self._numbers.get(key, 0) > after:
            return
        woken = asyncio.Event()
        self._waiting[key].add(woken)
        try:
            # Not wait_for: in Python 3.11 it swallows a cancellation that comes with the ring.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await woken.wait()
        finally:
            self._leave(key, woken)

    def _leave(self, key: tuple[str, str], waiter: asyncio.Event) -> None:
        self._waiting[key].discard(waiter)
        if not self._waiting[key]:
            del self._waiting[key]
