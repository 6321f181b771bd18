"""The pull loop: FastStream's own one swallows a closed connection and a vanished consumer."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from faststream.nats.subscriber.usecases.stream_pull_subscriber import PullStreamSubscriber
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError
from nats.js.api import ConsumerInfo
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from gyre_runtime.bus.gathering import Gathering
from gyre_runtime.bus.incoming import Acks, NatsIncoming, acknowledge
from gyre_runtime.bus.worker import Worker
from gyre_runtime.ending import end
from gyre_runtime.telemetry import logger

FETCH_TIMEOUT = 5.0
PROVISIONING_PATIENCE = 20.0
_log = logger("gyre.bus")


class Slots:
    """Room for so many handlers at once."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._busy: set[object] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._free = asyncio.Event()
        self._free.set()

    async def free(self) -> int:
        """Waits until there is room; returns how much."""
        await self._free.wait()
        return self._count - len(self._busy)

    def run(self, work: Callable[[Callable[[], None]], Coroutine[Any, Any, Any]]) -> None:
        """work: is given what it may call to leave its slot before it ends."""
        slot = object()
        self._busy.add(slot)
        if len(self._busy) >= self._count:
            self._free.clear()
        leave = partial(self._leave, slot)
        task = asyncio.ensure_future(work(leave))
        self._tasks.add(task)
        task.add_done_callback(self._end)
        task.add_done_callback(leave)

    async def drain(self, timeout: float) -> None:
        """Waits for what runs; what is not done in time is cancelled and handed back."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=timeout)
        await end(late)

    def _leave(self, slot: object, _: asyncio.Task[Any] | None = None) -> None:
        self._busy.discard(slot)
        if len(self._busy) < self._count:  # left twice: early, and at the end of its task
            self._free.set()

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            _log.error("worker_failed", error=repr(task.exception()))


class SafePullSubscriber(PullStreamSubscriber):
    """Binds to a consumer that the provisioner made, and ends the process when it is gone."""

    __slots__ = ()

    worker: Worker
    fatal: Callable[[str], None]
    slots: Slots
    acks: Acks

    def guard(self, worker: Worker, fatal: Callable[[str], None]) -> None:
        """To be called once, before `start`."""
        self.worker = worker
        self.fatal = fatal
        self.slots = Slots(worker.subscription.concurrency)
        self.acks = Gathering(acknowledge, worker.subscription.concurrency)

    async def _create_subscription(self) -> None:
        if self.subscription:
            return
        info = await self._provisioned()
        durable, prefix = self.worker.subscription.durable, self.extra_options["inbox_prefix"]
        self.subscription = await self.jetstream.pull_subscribe_bind(
            durable, self.stream.name, inbox_prefix=prefix
        )
        self.add_task(self._consume_pull, func_kwargs={"cb": self.consume})
        self.add_task(self._keep_alive, func_args=((info.config.ack_wait or 30.0) / 3,))

    async def _provisioned(self) -> ConsumerInfo:
        durable = self.worker.subscription.durable
        deadline = time.monotonic() + PROVISIONING_PATIENCE
        while True:
            try:
                info: ConsumerInfo = await self.jetstream.consumer_info(self.stream.name, durable)
                return info
            except NotFoundError:
                if time.monotonic() > deadline:
                    self._gone()
                await asyncio.sleep(0.5)

    async def _consume_pull(self, cb: Callable[[Msg], Coroutine[Any, Any, Any]]) -> None:
        """Past FastStream's `cb`: it swallows every exception, so a message it cannot parse would
        come again for ever without a word."""
        while self.running:
            room = await self.slots.free()
            for message in await self._fetch(room):
                self.slots.run(partial(self.worker, NatsIncoming.of(message, self.acks)))

    async def _fetch(self, room: int) -> list[Msg]:
        assert self.subscription is not None
        try:
            return await self.subscription.fetch(batch=room, timeout=FETCH_TIMEOUT)
        except TimeoutError:
            # Nothing to do, a lost request, or a 409 in disguise: is the consumer still there?
            await self._probe()
        except ConnectionClosedError:
            self._closed()
            # Fetching fails at once from now on: without a pause nobody else gets the event loop.
            await asyncio.sleep(FETCH_TIMEOUT)
        except Exception as error:
            _log.warning(
                "fetch_failed", consumer=self.worker.subscription.durable, error=repr(error)
            )
            await asyncio.sleep(random.uniform(0.2, 1.0))
            await self._probe()
        return []

    async def _probe(self) -> None:
        assert isinstance(self.subscription, JetStreamContext.PullSubscription)
        try:
            await self.subscription.consumer_info()
        except NotFoundError:
            self._gone()
        except ConnectionClosedError:
            self._closed()
        except Exception as error:  # the bus is away: nats-py reconnects
            _log.debug("probe_failed", consumer=self.worker.subscription.durable, error=repr(error))

    async def _keep_alive(self, interval: float) -> None:
        while self.running:
            await asyncio.sleep(interval)
            try:
                await self.worker.keep_alive()
            except Exception as error:  # the bus is away: it comes again
                _log.warning("heartbeat_failed", error=repr(error))

    def _gone(self) -> None:
        name = f"{self.stream.name}/{self.worker.subscription.durable}"
        self.fatal(f"consumer {name} is missing: run `python -m gyre_provisioner --apply`")

    def _closed(self) -> None:
        if self.running:
            self.fatal("the connection to NATS is closed for good")
