"""The relay: takes events from the outbox to the bus, in order, until the bus has them."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import Any

import sqlalchemy as sa

from gyre_runtime.bus.publisher import Publisher
from gyre_runtime.bus.publishing import BATCH_LIMIT
from gyre_runtime.database import Database
from gyre_runtime.events.envelope import Outgoing
from gyre_runtime.telemetry import logger

IDLE = 1.0
# What is said within it leaves in one batch: a read, a publish and a mark cost more than an event.
GATHER = 0.02
# Batches that are not full begin so far apart: a stream of single events leaves the core to others.
PACE = 0.1
LONGEST_PAUSE = 5.0
_log = logger("gyre.relay")


class Relay:
    """Runs until it is cancelled. Replicas on one database may each have one: what two of them
    publish, the bus keeps once."""

    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._database = database
        self._publisher = publisher
        self._failures = 0
        self._begun = 0.0

    async def run(self) -> None:
        while True:
            self._database.said.clear()
            self._begun = time.monotonic()
            try:
                sent = await self.send_batch()
                self._failures = 0
            except Exception as error:  # the bus is away: the outbox keeps what was said
                await self._pause(error)
                continue
            if sent < BATCH_LIMIT:
                await self._wait()

    async def send_batch(self) -> int:
        """Publishes the oldest unsent events; returns how many. Raises what the bus raises."""
        outbox = self._database.tables.outbox
        query = sa.select(outbox).where(outbox.c.sent_time.is_(None))
        async with self._database.reading() as connection:
            found = await connection.execute(query.order_by(outbox.c.position).limit(BATCH_LIMIT))
            rows = found.all()
        if not rows:
            return 0
        await self._publisher.publish([_outgoing(row) for row in rows])
        sent = outbox.c.position.in_([row.position for row in rows])
        async with self._database.transaction(aside=True) as transaction:
            mark = outbox.update().where(sent).values(sent_time=time.time())
            await transaction.connection.execute(mark)
        return len(rows)

    async def _wait(self) -> None:
        # Not wait_for: in Python 3.11 it swallows a cancellation that comes with the event.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IDLE):
                await self._database.said.wait()
        await asyncio.sleep(max(GATHER, self._begun + PACE - time.monotonic()))

    async def _pause(self, error: Exception) -> None:
        self._failures += 1
        if self._failures in (1, 10, 100):
            _log.warning("relay_waits", failures=self._failures, error=repr(error))
        await asyncio.sleep(min(LONGEST_PAUSE, 0.1 * 2**self._failures) * random.uniform(0.5, 1.0))


def _outgoing(row: sa.Row[Any]) -> Outgoing:
    return Outgoing(row.event_id, row.subject, row.stream, row.headers, row.body)
