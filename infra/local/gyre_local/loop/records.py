"""What an answer was made of, heard on the bus: a user sees the answer, an editor the sentences."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import nats
from gyre.inference.v1.events_pb2 import AnswerGenerated, AnswerRecord
from nats.aio.msg import Msg

_LISTED = re.compile(r"^\[(\d+)\] (.+)$", re.MULTILINE)
_PATIENCE = 60.0


class Records:
    """Of the answers that are given while it listens."""

    def __init__(self) -> None:
        self._known: dict[str, asyncio.Future[AnswerRecord]] = {}

    async def of(self, answer_id: str) -> AnswerRecord:
        """Raises TimeoutError where it does not come within a minute."""
        async with asyncio.timeout(_PATIENCE):
            return await asyncio.shield(self._place(answer_id))

    async def hear(self, message: Msg) -> None:
        record = AnswerGenerated.FromString(message.data).record
        place = self._place(record.answer_id)
        if not place.done():
            place.set_result(record)

    def _place(self, answer_id: str) -> asyncio.Future[AnswerRecord]:
        return self._known.setdefault(answer_id, asyncio.get_running_loop().create_future())


@asynccontextmanager
async def listening(url: str, tenant: str) -> AsyncIterator[Records]:
    """url: of the bus."""
    records, bus = Records(), await nats.connect(url)
    try:
        subject = f"gyre.inference.v1.answer_generated.{tenant}"
        await bus.subscribe(subject, cb=records.hear)
        await bus.flush()
        yield records
    finally:
        await bus.close()


def listed(record: AnswerRecord) -> Sequence[tuple[int, str]]:
    """The numbered sentences that the model was shown; none where it was not asked."""
    shown = next((one.content for one in record.messages if one.role == "user"), "")
    return [(int(number), text) for number, text in _LISTED.findall(shown)]
