"""The ledger: for every consumer, published = applied + dead-lettered + pending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from nats.js import JetStreamContext

from gyre_runtime.bus.link import Link
from gyre_runtime.bus.listeners import Subscription
from gyre_runtime.database import Database
from gyre_runtime.telemetry import gauge, logger

_log = logger("gyre.bus")
_labels = ["listener", "event"]
_difference = gauge("ledger_difference", "Events that left no trace; must be 0", _labels)
_pending = gauge("bus_pending", "Events that wait or are in flight", _labels)


@dataclass(frozen=True)
class Balance:
    """Counts over the messages that the stream still holds. `applied` counts repeats too."""

    published: int
    applied: int
    dead: int
    pending: int

    @property
    def difference(self) -> int:
        """Lost events; what is settled but not yet acknowledged counts twice, so at least 0."""
        return max(0, self.published - self.applied - self.dead - self.pending)


class Ledger:
    """Compares the stream with the receipts of this service's database."""

    def __init__(
        self, database: Database, link: Link, subscriptions: Sequence[Subscription]
    ) -> None:
        self._database = database
        self._link = link
        self._subscriptions = subscriptions

    async def check(self) -> None:
        """Sets the metrics; while the bus is away they stay as they are."""
        if not self._link.connected:
            return
        for subscription in self._subscriptions:
            balance = await self.balance(subscription)
            labels = (subscription.listener, subscription.name)
            _difference.labels(*labels).set(balance.difference)
            _pending.labels(*labels).set(balance.pending)
            if balance.difference:
                _log.error("ledger_differs", consumer=subscription.durable, balance=str(balance))

    async def balance(self, subscription: Subscription) -> Balance:
        """Asked in this order, so that an event on its way is never taken for a lost one."""
        jetstream = self._link.jetstream
        first, published = await _held(jetstream, subscription)
        consumer = await jetstream.consumer_info(subscription.stream, subscription.durable)
        receipts = await self._receipts(subscription.durable, first)
        return Balance(
            published=published,
            applied=receipts.get("applied", 0),
            dead=receipts.get("dead", 0),
            pending=(consumer.num_pending or 0) + (consumer.num_ack_pending or 0),
        )

    async def forget(self) -> None:
        """Removes receipts of messages that the streams no longer hold."""
        if not self._link.connected:
            return
        receipts = self._database.tables.receipts
        for subscription in self._subscriptions:
            first, _ = await _held(self._link.jetstream, subscription)
            mine = receipts.c.consumer == subscription.durable
            async with self._database.transaction(aside=True) as transaction:
                gone = receipts.delete().where(mine, receipts.c.sequence < first)
                await transaction.connection.execute(gone)

    async def _receipts(self, consumer: str, first: int) -> dict[str, int]:
        receipts = self._database.tables.receipts
        query = (
            sa.select(receipts.c.outcome, sa.func.count())
            .where(receipts.c.consumer == consumer, receipts.c.sequence >= first)
            .group_by(receipts.c.outcome)
        )
        async with self._database.reading() as connection:
            found = await connection.execute(query)
            return {outcome: int(count) for outcome, count in found}


async def _held(jetstream: JetStreamContext, subscription: Subscription) -> tuple[int, int]:
    """First sequence of the stream, and how many messages it holds that the consumer hears."""
    info = await jetstream.stream_info(subscription.stream, subjects_filter=subscription.subject)
    return info.state.first_seq, sum((info.state.subjects or {}).values())
