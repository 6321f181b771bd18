"""Reviews leave for other tools, and come back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from typing import Any

from gyre_feedback.domain.records import Format, Record, read, written
from gyre_feedback.ports import Clock
from gyre_feedback.use_cases.reviewing import ReviewQueue

__all__ = ["Format", "TransferReviews"]


class TransferReviews:
    """One record is one item with its reviews."""

    def __init__(self, queue: ReviewQueue, clock: Clock) -> None:
        self._queue, self._clock = queue, clock

    async def export(self, tenant: str, kind: Format, *, only_done: bool) -> AsyncGenerator[Record]:
        """All of them, or those with all reviews."""
        async for item, reviews in self._queue.export(tenant, only_done=only_done):
            yield written(item, reviews, kind)

    async def bring(self, tenant: str, kind: Format, record: Mapping[str, Any]) -> tuple[int, int]:
        """Items and reviews that were new or changed. Raises `Invalid`."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        item, reviews = read(record, kind, wanted=self._queue.wanted, now=now)
        new, changed = await self._queue.bring(tenant, item, reviews)
        return int(new), changed
