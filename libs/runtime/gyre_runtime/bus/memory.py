"""The bus in memory: several services of one process wired together, for journey tests.

It keeps what the code relies on (acknowledged publishing, de-duplication by id, redelivery,
dead letters) with the same handler wrapper as on NATS; it has no disk, rights or object store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import NoReturn

from nats.js import JetStreamContext

from gyre_runtime.bus.publishing import NotPublished
from gyre_runtime.bus.pull import Slots
from gyre_runtime.bus.worker import Worker
from gyre_runtime.events.envelope import MESSAGE_LIMIT, Outgoing


@dataclass(frozen=True)
class Stored:
    """A message of a stream."""

    stream: str
    sequence: int
    subject: str
    headers: Mapping[str, str]
    data: bytes
    time: datetime


class MemoryExchange:
    """The streams. `delays`: how much of a `nak` delay is waited for, as a factor."""

    def __init__(self, *, delays: float = 0.01) -> None:
        self.delays = delays
        self.messages: list[Stored] = []
        self.away = False
        self.bells: list[tuple[str, Callable[[], None]]] = []
        self._known: set[tuple[str, str]] = set()
        self._consumers: list[MemoryConsumer] = []

    def publish(self, event: Outgoing) -> None:
        """Raises `NotPublished` while `away`, or when the message is too large."""
        if self.away or len(event.body) > MESSAGE_LIMIT:
            raise NotPublished(f"no acknowledgement for {event.subject}")
        if (event.stream, event.event_id) in self._known:
            return
        self._known.add((event.stream, event.event_id))
        stored = Stored(
            event.stream,
            len(self.messages) + 1,
            event.subject,
            event.headers,
            event.body,
            datetime.now(UTC),
        )
        self.messages.append(stored)
        for consumer in self._consumers:
            consumer.offer(stored)
        for prefix, ring in self.bells:
            if event.subject.startswith(prefix):
                ring()

    def attach(self, consumer: MemoryConsumer) -> None:
        """A consumer hears what was said before it came, too."""
        self._consumers.append(consumer)
        for stored in self.messages:
            consumer.offer(stored)

    def detach(self, consumer: MemoryConsumer) -> None:
        self._consumers.remove(consumer)

    @property
    def dead_letters(self) -> list[Stored]:
        return [stored for stored in self.messages if stored.stream == "DEADLETTERS"]

    @property
    def busy(self) -> bool:
        return any(consumer.pending for consumer in self._consumers)

    async def settled(self, timeout: float = 10.0) -> None:
        """Waits until nothing is pending; raises TimeoutError. Outboxes are not waited for."""
        async with asyncio.timeout(timeout):
            while self.busy:  # noqa: ASYNC110  a test may poll
                await asyncio.sleep(0.005)


@dataclass
class MemoryIncoming:
    """See `Incoming`."""

    stored: Stored
    consumer: MemoryConsumer
    deliveries: int
    settled: bool = field(default=False)

    @property
    def subject(self) -> str:
        return self.stored.subject

    @property
    def headers(self) -> Mapping[str, str]:
        return self.stored.headers

    @property
    def data(self) -> bytes:
        return self.stored.data

    @property
    def stream(self) -> str:
        return self.stored.stream

    @property
    def sequence(self) -> int:
        return self.stored.sequence

    @property
    def time(self) -> datetime:
        return self.stored.time

    async def ack(self) -> None:
        self.settled = True

    async def nak(self, delay: float) -> None:
        self.settled = True
        self.consumer.offer_later(self.stored, self.deliveries + 1, delay)

    async def term(self) -> None:
        self.settled = True

    async def in_progress(self) -> None:
        return None


class MemoryConsumer:
    """Delivers to one worker, at most `concurrency` messages at once."""

    def __init__(self, worker: Worker, delays: float) -> None:
        self._worker = worker
        self._delays = delays
        self._prefix = worker.subscription.subject.removesuffix("*")
        self._queue: asyncio.Queue[MemoryIncoming] = asyncio.Queue()
        self._slots = Slots(worker.subscription.concurrency)
        self._pull: asyncio.Task[None] | None = None
        self.pending = 0

    def start(self) -> None:
        self._pull = asyncio.create_task(self._deliver())

    async def stop(self, timeout: float) -> None:
        if self._pull is not None:
            self._pull.cancel()
        await self._slots.drain(timeout)

    def offer(self, stored: Stored) -> None:
        if stored.subject.startswith(self._prefix):
            self.pending += 1
            self._queue.put_nowait(MemoryIncoming(stored, self, deliveries=1))

    def offer_later(self, stored: Stored, deliveries: int, delay: float) -> None:
        self.pending += 1
        again = MemoryIncoming(stored, self, deliveries)
        asyncio.get_running_loop().call_later(delay * self._delays, self._queue.put_nowait, again)

    async def _deliver(self) -> None:
        while True:
            await self._slots.free()
            self._slots.run(partial(self._handle, await self._queue.get()))

    async def _handle(self, message: MemoryIncoming, leave: Callable[[], None]) -> None:
        try:
            await self._worker(message, leave)
        finally:
            self.pending -= 1


class MemoryLink:
    """See `Link`: `Bus(settings, name, link=MemoryLink(exchange))`."""

    def __init__(self, exchange: MemoryExchange) -> None:
        self._exchange = exchange
        self._consumers: list[MemoryConsumer] = []
        self._bells: list[tuple[str, Callable[[], None]]] = []

    def listen(self, subject: str, ring: Callable[[], None]) -> None:
        self._bells.append((subject.removesuffix("*"), ring))

    @property
    def jetstream(self) -> JetStreamContext:
        _no_jetstream()

    @property
    def connected(self) -> bool:
        return False  # there is no stream to look into

    async def publish(self, events: Sequence[Outgoing]) -> None:
        for event in events:
            self._exchange.publish(event)

    async def start(self, workers: Sequence[Worker]) -> None:
        self._consumers = [MemoryConsumer(worker, self._exchange.delays) for worker in workers]
        self._exchange.bells += self._bells
        for consumer in self._consumers:
            self._exchange.attach(consumer)
            consumer.start()

    async def stop(self, timeout: float) -> None:
        consumers, self._consumers = self._consumers, []
        self._exchange.bells = [bell for bell in self._exchange.bells if bell not in self._bells]
        for consumer in consumers:
            self._exchange.detach(consumer)
        await asyncio.gather(*(consumer.stop(timeout) for consumer in consumers))

    async def close(self) -> None:
        return None


def _no_jetstream() -> NoReturn:
    raise RuntimeError("the bus in memory has no JetStream: give the service a memory adapter")
