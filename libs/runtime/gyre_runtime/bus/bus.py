"""The bus of one process: what it hears, what it says, and the relay between outbox and bus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from google.protobuf.message import Message
from nats.js import JetStreamContext

from gyre_runtime.bus.attempts import Attempts, BrokerAttempts
from gyre_runtime.bus.dead_letters import DeadLetters
from gyre_runtime.bus.inbox import InboxAttempts
from gyre_runtime.bus.link import Link
from gyre_runtime.bus.listeners import Listeners, Subscription
from gyre_runtime.bus.nats_link import NatsLink
from gyre_runtime.bus.relay import Relay
from gyre_runtime.bus.suspects import Suspects
from gyre_runtime.bus.upkeep import Upkeep
from gyre_runtime.bus.worker import Worker
from gyre_runtime.database import Database
from gyre_runtime.ending import end
from gyre_runtime.events.compose import compose
from gyre_runtime.events.names import subject_of
from gyre_runtime.settings import RuntimeSettings
from gyre_runtime.telemetry import logger
from gyre_runtime.watchdog import end_process

LAST_RELAY = 3.0
_log = logger("gyre.bus")


class Bus:
    """One per process. With a database, events heard are applied once and events said wait in
    the outbox; without one, effects must be idempotent and `publish` is acknowledged.

    link: replaces NATS, for tests. fatal: called with a reason when only a new process helps.
    """

    def __init__(
        self,
        settings: RuntimeSettings,
        service: str,
        *,
        database: Database | None = None,
        link: Link | None = None,
        fatal: Callable[[str], None] = end_process,
    ) -> None:
        self._settings = settings
        self._link: Link = link or NatsLink(settings, service, fatal)
        self._database = database
        self._attempts: Attempts = InboxAttempts(database) if database else BrokerAttempts()
        self._relay = Relay(database, self._link) if database else None
        self._service = service
        self._tasks: list[asyncio.Task[None]] = []
        self.subscriptions: list[Subscription] = []

    def include(self, listeners: Listeners) -> None:
        """To be called before `start`."""
        self.subscriptions.extend(listeners.subscriptions)

    def listen(self, event: type[Message], ring: Callable[[], None]) -> None:
        """To be called before `start`: `ring` is called in *every* process that listens, whenever
        the event is said for any tenant, where `include` reaches one process of a service.

        A bell, not a delivery: what is said while the bus is away is not heard. It tells to look
        earlier what would be looked at anyway.
        """
        self._link.listen(subject_of(event, "*"), ring)

    @property
    def jetstream(self) -> JetStreamContext:
        """JetStream on the same connection; raises `NotPublished` while there is none yet."""
        return self._link.jetstream

    @property
    def connected(self) -> bool:
        return self._link.connected

    async def publish(
        self, event: Message, *, tenant: str, entity_id: str, cause: str, name: str | None = None
    ) -> None:
        """Returns when the event is on disk on the bus. For services without a database.

        May be repeated: the id is derived from `cause` and content, or `name` in its place where
        the content differs from run to run. Raises what the bus raises,
        then it is not sure whether the event is there.
        """
        said = compose(event, tenant=tenant, entity_id=entity_id, cause=cause, name=name)
        await self._link.publish([said])

    async def start(self) -> None:
        """Connects and hears; where the bus is away, goes on and connects behind the scenes."""
        suspects = Suspects(self._settings.suspect_delay)
        await self._link.start([self._worker(each, suspects) for each in self.subscriptions])
        if self._database is not None and self._relay is not None:
            upkeep = Upkeep(
                self._settings, self._service, self._database, self._link, self.subscriptions
            )
            work = (self._relay.run(), upkeep.run())
            self._tasks = [asyncio.create_task(each) for each in work]

    async def stop(self) -> None:
        """Hears no more, ends work in flight, sends what was said. Raises nothing; repeatable."""
        await self._link.stop(self._settings.stop_timeout)
        tasks, self._tasks = self._tasks, []
        await end(tasks)
        if tasks:
            await self._send_the_rest()
        await self._link.close()

    async def _send_the_rest(self) -> None:
        if self._relay is None or not self._link.connected:
            return
        try:
            async with asyncio.timeout(LAST_RELAY):
                while await self._relay.send_batch():
                    pass
        except Exception as error:  # the outbox keeps it for the next start
            _log.warning("outbox_not_empty", error=repr(error))

    def _worker(self, subscription: Subscription, suspects: Suspects) -> Worker:
        letters = DeadLetters(subscription, self._link)
        return Worker(subscription, self._attempts, letters, suspects)
