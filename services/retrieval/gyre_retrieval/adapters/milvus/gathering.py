"""Many small writes become one: Milvus takes as long to flush one row as a thousand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gyre_retrieval.ports import IndexUnavailable

Row = dict[str, Any]
Write = Callable[[list[Row]], Awaitable[None]]


class Gathering:
    """Writes rows in groups; each caller returns when the group of its rows is written.

    What arrives during a write, or within `window` seconds before it, goes together. Where a group
    of several callers fails, each caller's rows are written alone, so that one caller's fault is
    its own; where the store does not answer, all fail at once.
    """

    def __init__(self, write: Write, *, window: float, largest: int) -> None:
        self._write = write
        self._window = window
        self._largest = largest
        self._waiting: list[tuple[Sequence[Row], asyncio.Future[None]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def add(self, rows: Sequence[Row]) -> None:
        """Raises what the write raises."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((rows, done))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        await done

    async def close(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])
        for _, done in self._waiting:
            done.cancel()

    async def _work(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._window)
            group = self._take()
            try:
                await self._write_group(group)
            finally:
                for _, done in group:
                    done.cancel()

    def _take(self) -> list[tuple[Sequence[Row], asyncio.Future[None]]]:
        count = size = 0
        while count < len(self._waiting) and (count == 0 or size < self._largest):
            size += len(self._waiting[count][0])
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    async def _write_group(self, group: list[tuple[Sequence[Row], asyncio.Future[None]]]) -> None:
        try:
            await self._write([row for rows, _ in group for row in rows])
        except Exception as error:
            if len(group) == 1 or isinstance(error, IndexUnavailable):
                for _, done in group:
                    _end(done, error)
            else:
                for one in group:
                    await self._write_group([one])
        else:
            for _, done in group:
                _end(done, None)


def _end(done: asyncio.Future[None], error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
