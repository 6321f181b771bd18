"""The wrapper around every handler: read, count, run, settle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gyre_runtime.bus.attempts import Attempts
from gyre_runtime.bus.dead_letters import DeadLetters
from gyre_runtime.bus.incoming import Incoming
from gyre_runtime.bus.listeners import Subscription
from gyre_runtime.bus.outcomes import Dead, Done, Later, Outcome
from gyre_runtime.bus.reading import read
from gyre_runtime.bus.suspects import Suspects
from gyre_runtime.bus.trial import Trial
from gyre_runtime.events.envelope import BadEnvelope, Delivery
from gyre_runtime.telemetry import counter, histogram, logger

UNREADY_DELAY = 5.0
_log = logger("gyre.bus")
_outcomes = counter("bus_events", "Events by what became of them", ["listener", "event", "outcome"])
_seconds = histogram("bus_handling_seconds", "Time from delivery to end", ["listener", "event"])


class Worker:
    """Settles the messages of one consumer. Raises nothing: what cannot be settled comes again.

    suspects: shared by the process, so that of the events that may have killed it one runs at
    a time.
    """

    def __init__(
        self,
        subscription: Subscription,
        attempts: Attempts,
        dead_letters: DeadLetters,
        suspects: Suspects,
    ) -> None:
        self.subscription = subscription
        self._attempts = attempts
        self._dead_letters = dead_letters
        self._trial = Trial(subscription, attempts, suspects)
        self._in_flight: dict[int, Incoming] = {}
        self._labels = (subscription.listener, subscription.name)
        self._time = _seconds.labels(*self._labels)

    async def __call__(self, message: Incoming, leave: Callable[[], None]) -> None:
        """leave: called when only the acknowledgement is left, and another handler may run."""
        if message.sequence in self._in_flight:
            return  # a pause outlived ack_wait: the run that goes on settles it
        self._in_flight[message.sequence] = message
        started = time.perf_counter()
        try:
            await self._consume(message, leave)
        finally:
            del self._in_flight[message.sequence]
            self._time.observe(time.perf_counter() - started)

    @property
    def busy(self) -> int:
        return len(self._in_flight)

    async def keep_alive(self) -> None:
        """Tells the bus that the messages in flight are still worked on."""
        for message in list(self._in_flight.values()):
            await message.in_progress()

    async def _consume(self, message: Incoming, leave: Callable[[], None]) -> None:
        try:
            await self._settle(message, await self._trial(message), leave)
        except asyncio.CancelledError:
            await asyncio.shield(self._hand_back(message, 0.0))
            raise
        except Exception as error:  # the bus or the database is away
            _log.warning("event_unsettled", consumer=self.subscription.durable, error=repr(error))
            self._count("unsettled")
            await self._hand_back(message, UNREADY_DELAY)

    async def _settle(self, message: Incoming, outcome: Outcome, leave: Callable[[], None]) -> None:
        match outcome:
            case Done(name):
                leave()
                await message.ack()
                self._count(name)
            case Later(delay, name):
                await message.nak(delay)
                self._count(name)
            case Dead():
                await self._bury(message, outcome)

    async def _bury(self, message: Incoming, outcome: Dead) -> None:
        """In this order: at no moment is the message neither here nor there."""
        await self._dead_letters.set_aside(message, outcome)
        await self._tell(message, outcome)
        await self._attempts.dead(outcome.handling)
        await message.term()
        self._count("dead")
        _log.error(
            "event_dead",
            consumer=self.subscription.durable,
            event_id=outcome.handling.envelope.event_id,
            reason=outcome.reason,
            detail=outcome.detail,
        )

    async def _tell(self, message: Incoming, outcome: Dead) -> None:
        """Of what cannot be read there is nothing to tell."""
        if self.subscription.given_up is None:
            return
        try:
            envelope, event = read(self.subscription.event, message)
        except BadEnvelope:
            return
        delivery = Delivery(envelope, outcome.attempts)
        await self.subscription.given_up(event, delivery, outcome.detail)

    async def _hand_back(self, message: Incoming, delay: float) -> None:
        try:
            await message.nak(delay)
        except Exception as error:
            _log.warning("nak_failed", consumer=self.subscription.durable, error=repr(error))

    def _count(self, outcome: str) -> None:
        _outcomes.labels(*self._labels, outcome).inc()
