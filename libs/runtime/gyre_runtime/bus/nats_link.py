"""The connection to NATS, through FastStream's broker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, PullSub
from nats.js import JetStreamContext

from gyre_runtime.bus.publishing import JetStreamPublisher, NotPublished
from gyre_runtime.bus.pull import SafePullSubscriber
from gyre_runtime.bus.security import security_of
from gyre_runtime.bus.worker import Worker
from gyre_runtime.ending import end
from gyre_runtime.events.envelope import Outgoing
from gyre_runtime.settings import RuntimeSettings
from gyre_runtime.telemetry import logger

CONNECT_PATIENCE = 3.0
_log = logger("gyre.bus")


class NatsLink:
    """One connection of one service. fatal: called when only a new process can help."""

    def __init__(
        self, settings: RuntimeSettings, service: str, fatal: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._service = service
        self._fatal = fatal
        self._inbox = f"_INBOX_{service}"
        self._stopping = False
        self._errors = 0
        self._starting: asyncio.Task[None] | None = None
        self._bells: list[tuple[str, Callable[[], None]]] = []
        self.broker: NatsBroker | None = None

    @property
    def connected(self) -> bool:
        client = self.broker._connection if self.broker else None
        return client is not None and client.is_connected

    @property
    def jetstream(self) -> JetStreamContext:
        """Raises `NotPublished` while the first connection is not made."""
        jetstream: JetStreamContext = self._connection.jetstream()
        return jetstream

    async def publish(self, events: Sequence[Outgoing]) -> None:
        await JetStreamPublisher(self._connection).publish(events)

    def listen(self, subject: str, ring: Callable[[], None]) -> None:
        self._bells.append((subject, ring))

    async def start(self, workers: Sequence[Worker]) -> None:
        self._stopping = False
        self.broker = self._new_broker()
        for worker in workers:
            self._subscribe(self.broker, worker)
        self._starting = asyncio.create_task(self._connect(self.broker))
        done, _ = await asyncio.wait([self._starting], timeout=CONNECT_PATIENCE)
        for task in done:
            task.result()
        if not done:
            _log.warning("nats_is_away", url=self._settings.nats_url)

    async def stop(self, timeout: float) -> None:
        self._stopping = True
        await self._end_start()
        await asyncio.gather(*(_stop(sub, timeout) for sub in self._subscribers))

    async def close(self) -> None:
        self._stopping = True
        await self._end_start()
        broker, self.broker = self.broker, None
        if broker is None:
            return
        try:
            async with asyncio.timeout(3):
                await broker.stop()
        except Exception as error:  # drain raises when the bus is away
            _log.warning("nats_not_drained", error=repr(error))
            await _close(broker)

    @property
    def _connection(self) -> Any:
        client = self.broker._connection if self.broker else None
        if client is None:
            raise NotPublished("there is no connection to NATS yet")
        return client

    @property
    def _subscribers(self) -> list[SafePullSubscriber]:
        found = self.broker.subscribers if self.broker else []
        return [sub for sub in found if isinstance(sub, SafePullSubscriber)]

    async def _connect(self, broker: NatsBroker) -> None:
        await broker.start()
        for subject, ring in self._bells:
            # Of the core: the client subscribes again by itself after every reconnect.
            await self._connection.subscribe(subject, cb=_heard(ring))

    async def _end_start(self) -> None:
        if self._starting is not None and not self._starting.done():
            await end([self._starting])

    def _subscribe(self, broker: NatsBroker, worker: Worker) -> None:
        subscription = worker.subscription
        subscriber = broker.subscriber(
            subscription.subject,
            stream=JStream(subscription.stream, declare=False),
            durable=subscription.durable,
            pull_sub=PullSub(batch_size=subscription.concurrency),
            inbox_prefix=f"{self._inbox}.".encode(),
            no_reply=True,
        )
        # FastStream has no seam for another pull loop.
        subscriber.__class__ = SafePullSubscriber
        assert isinstance(subscriber, SafePullSubscriber)
        subscriber.guard(worker, self._fatal)
        subscriber(subscription.handler)  # it wants one; the pull loop calls the worker instead

    def _new_broker(self) -> NatsBroker:
        return NatsBroker(
            self._settings.nats_url.split(","),
            name=f"gyre-{self._service}",
            inbox_prefix=self._inbox,
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            ping_interval=20,
            graceful_timeout=1,
            ack_policy=AckPolicy.MANUAL,
            apply_types=False,
            logger=None,
            closed_cb=self._on_closed,
            error_cb=self._on_error,
            security=security_of(self._settings),
        )

    async def _on_error(self, error: Exception) -> None:
        self._errors += 1
        if self._errors <= 3 or self._errors % 60 == 0:  # one comes with every reconnect
            _log.warning("nats_error", error=repr(error), count=self._errors)

    async def _on_closed(self) -> None:
        if not self._stopping:
            self._fatal("the connection to NATS is closed for good")


def _heard(ring: Callable[[], None]) -> Callable[[Any], Awaitable[None]]:
    async def heard(_: Any) -> None:
        ring()

    return heard


async def _stop(subscriber: SafePullSubscriber, timeout: float) -> None:
    subscriber.running = False
    for task in subscriber.tasks[:1]:
        task.cancel()
    await subscriber.slots.drain(timeout)


async def _close(broker: NatsBroker) -> None:
    client = broker._connection
    if client is not None:
        with contextlib.suppress(Exception):
            await client.close()
