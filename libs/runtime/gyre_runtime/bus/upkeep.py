"""What a bus with a database looks after: room for writes, the ledger, and old rows."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from gyre_runtime.bus.ledger import Ledger
from gyre_runtime.bus.link import Link
from gyre_runtime.bus.listeners import Subscription
from gyre_runtime.database import Database
from gyre_runtime.failures import Overloaded
from gyre_runtime.settings import RuntimeSettings
from gyre_runtime.telemetry import gauge, logger

ROOM_INTERVAL = 1.0
LEDGER_INTERVAL = 10.0
PRUNE_INTERVAL = 600.0
RETRY_AFTER = 5.0
_log = logger("gyre.bus")
_unsent = gauge("outbox_unsent", "Events said that the bus does not have yet", ["service"])


@dataclass(frozen=True)
class Room:
    """Writes are refused at `unsent` events that wait or when `disk` of the volume is used."""

    unsent: int
    disk: float


class Upkeep:
    """Runs beside the relay until it is cancelled."""

    def __init__(
        self,
        settings: RuntimeSettings,
        service: str,
        database: Database,
        link: Link,
        subscriptions: Sequence[Subscription],
    ) -> None:
        self._settings = settings
        self._service = service
        self._database = database
        self._room = Room(settings.outbox_limit, settings.disk_limit)
        self.ledger = Ledger(database, link, subscriptions)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(_repeat(ROOM_INTERVAL, self.look_for_room))
            group.create_task(_repeat(LEDGER_INTERVAL, self.ledger.check))
            group.create_task(_repeat(PRUNE_INTERVAL, self.prune))

    async def look_for_room(self) -> None:
        """Opens or closes the database to callers; what the bus delivers is always handled."""
        unsent = await self._database.count_unsent(self._room.unsent)
        _unsent.labels(self._service).set(unsent)
        self._database.refusal = self._refusal(unsent)

    async def prune(self) -> None:
        """Forgets events that were sent or applied long ago."""
        now, tables = time.time(), self._database.tables
        sent = tables.outbox.c.sent_time < now - self._settings.outbox_retention
        heard = sa.and_(
            tables.inbox.c.heard_time < now - self._settings.inbox_retention,
            tables.inbox.c.applied_time.is_not(None) | tables.inbox.c.dead_time.is_not(None),
        )
        async with self._database.transaction(aside=True) as transaction:
            await transaction.connection.execute(tables.outbox.delete().where(sent))
            await transaction.connection.execute(tables.inbox.delete().where(heard))
        await self.ledger.forget()

    def _refusal(self, unsent: int) -> Overloaded | None:
        if unsent >= self._room.unsent:
            text = "the bus is away and the outbox is full: wait until it is back"
            return Overloaded("outbox", text, retry_after=RETRY_AFTER)
        file = self._database.file
        if file is None or not file.parent.exists():
            return None
        usage = shutil.disk_usage(file.parent)
        if usage.used / usage.total < self._room.disk:
            return None
        text = f"the disk is over {self._room.disk:.0%} full: make room"
        return Overloaded("disk", text, retry_after=RETRY_AFTER * 6)


async def _repeat(interval: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Exception as error:
            _log.warning("upkeep_failed", error=repr(error))
        await asyncio.sleep(interval)
