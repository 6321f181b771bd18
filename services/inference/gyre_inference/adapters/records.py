"""Records of answers through the outbox: durable when said, several of them in one commit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from google.protobuf.message import Message
from gyre.inference.v1 import events_pb2
from gyre_runtime.database import Database
from gyre_runtime.events.compose import compose
from gyre_runtime.events.envelope import Outgoing
from gyre_runtime.failures import Overloaded as OutboxFull
from gyre_runtime.telemetry import logger
from sqlalchemy.exc import SQLAlchemyError

from gyre_inference import wire
from gyre_inference.domain.faults import Fault, Overloaded, Unavailable
from gyre_inference.domain.record import AnswerRecord, Failure

_log = logger(__name__)
_GROUP = 64


@dataclass(frozen=True)
class _Waiting:
    """An event on its way to the disk."""

    event: Outgoing
    saved: asyncio.Future[None]


class OutboxRecords:
    """While one commit waits for the disk, the next answers gather and share the one after it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    async def generated(self, record: AnswerRecord) -> None:
        """See `Records`."""
        await self._say(events_pb2.AnswerGenerated(record=wire.record(record)), record)

    async def failed(self, record: AnswerRecord, failure: Failure) -> None:
        """See `Records`."""
        event = events_pb2.AnswerFailed(
            record=wire.record(record), status=failure.status, detail=failure.detail
        )
        await self._say(event, record)

    async def _say(self, event: Message, record: AnswerRecord) -> None:
        saved = asyncio.get_running_loop().create_future()
        tenant, answer_id = record.caller.tenant, record.answer_id
        outgoing = compose(event, tenant=tenant, entity_id=answer_id, cause=answer_id)
        self._waiting.append(_Waiting(outgoing, saved))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        # Shielded: a caller that leaves must not take its record along.
        await asyncio.shield(saved)

    async def _write(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:_GROUP], self._waiting[_GROUP:]
                await self._commit(group)
        finally:
            self._writer = None

    async def _commit(self, group: list[_Waiting]) -> None:
        try:
            await self._database.append([item.event for item in group])
        except (OutboxFull, SQLAlchemyError, OSError) as error:
            _log.error("answers_not_recorded", count=len(group), error=type(error).__name__)
            _settle(group, _fault(error))
        else:
            _settle(group, None)


def _settle(group: list[_Waiting], fault: Fault | None) -> None:
    for item in group:
        if item.saved.done():
            continue
        if fault:
            item.saved.set_exception(fault)
        else:
            item.saved.set_result(None)


def _fault(error: Exception) -> Fault:
    if isinstance(error, OutboxFull):
        return Overloaded("no more answers can be recorded now", retry_after=error.retry_after)
    return Unavailable("the answer's record cannot be kept", retry_after=5.0)
