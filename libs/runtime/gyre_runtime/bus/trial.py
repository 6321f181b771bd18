"""One run of a handler: what to do with the message follows from how it ended."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager

from google.protobuf.message import Message
from opentelemetry.trace import Span, SpanKind

from gyre_runtime.bus.attempts import ATTEMPT_LIMIT, Attempts, Standing, Start
from gyre_runtime.bus.dead_letters import REDRIVE, REDRIVE_LISTENER
from gyre_runtime.bus.incoming import Incoming
from gyre_runtime.bus.listeners import Subscription
from gyre_runtime.bus.outcomes import Dead, Done, Later, Outcome, delay_after
from gyre_runtime.bus.reading import handling_of, read, unread
from gyre_runtime.bus.suspects import Suspects
from gyre_runtime.database import AlreadyApplied
from gyre_runtime.events.envelope import BadEnvelope, Delivery
from gyre_runtime.events.handling import Handling, handled
from gyre_runtime.failures import Overloaded, PermanentError
from gyre_runtime.telemetry import logger, names, tracer
from gyre_runtime.telemetry.traces import context_of

_log = logger("gyre.bus")
_tracer = tracer("gyre.bus")
_KILLER = "the process ended each time while this event was handled"


class Trial:
    """Reads a message, counts the attempt and runs the handler within its budget."""

    def __init__(self, subscription: Subscription, attempts: Attempts, suspects: Suspects) -> None:
        self._subscription = subscription
        self._attempts = attempts
        self._suspects = suspects
        self._span_name = f"process {subscription.name}"
        self._about = _attributes(subscription)

    async def __call__(self, message: Incoming) -> Outcome:
        """Raises what the database raises; the handler's exceptions become outcomes."""
        try:
            envelope, event = read(self._subscription.event, message)
        except BadEnvelope as bad:
            heard = unread(self._subscription, message)
            return Dead(heard, bad.reason, bad.detail, message.deliveries)
        handling = handling_of(self._subscription, message, envelope)
        if self._for_another(message):
            await self._attempts.passed(handling)
            return Done("passed")
        return await self._judge(message, event, handling)

    def _for_another(self, message: Incoming) -> bool:
        listener = self._subscription.listener
        return message.headers.get(REDRIVE_LISTENER, listener) != listener

    async def _judge(self, message: Incoming, event: Message, handling: Handling) -> Outcome:
        start = await self._begin(message, handling, alone=False)
        if start.standing is not Standing.SUSPECT:
            return await self._proceed(event, handling, start)
        async with self._suspects.alone():
            start = await self._begin(message, handling, alone=True)
            return await self._proceed(event, handling, start)

    async def _begin(self, message: Incoming, handling: Handling, *, alone: bool) -> Start:
        redrive = message.headers.get(REDRIVE, "")
        return await self._attempts.begin(
            handling, deliveries=message.deliveries, redrive=redrive, alone=alone
        )

    async def _proceed(self, event: Message, handling: Handling, start: Start) -> Outcome:
        if start.standing in (Standing.APPLIED, Standing.DEAD):
            return Done("repeated")
        if start.standing is Standing.KILLER:
            return Dead(handling, "process_killer", _KILLER, start.attempt)
        return await self._run(event, handling, start.attempt)

    async def _run(self, event: Message, handling: Handling, attempt: int) -> Outcome:
        mark = handled.set(handling)
        try:
            await self._handle(event, handling, attempt)
            return Done("applied")
        except AlreadyApplied:
            await self._attempts.passed(handling)
            return Done("repeated")
        except PermanentError as error:
            return Dead(handling, error.reason, error.detail, attempt)
        except asyncio.CancelledError:
            await asyncio.shield(self._attempts.failed(handling, counts=False))
            raise
        except Exception as error:
            return await self._after(error, handling, attempt)
        finally:
            handled.reset(mark)

    async def _handle(self, event: Message, handling: Handling, attempt: int) -> None:
        with self._span(handling):
            async with asyncio.timeout(self._subscription.budget):
                await self._subscription.handler(event, Delivery(handling.envelope, attempt))
            if not handling.applied:
                await self._attempts.applied(handling)

    def _span(self, handling: Handling) -> AbstractContextManager[Span]:
        return _tracer.start_as_current_span(
            self._span_name,
            context=context_of(handling.envelope.traceparent),
            kind=SpanKind.CONSUMER,
            attributes={**self._about, names.MESSAGING_ID: handling.envelope.event_id},
        )

    async def _after(self, error: Exception, handling: Handling, attempt: int) -> Outcome:
        detail = _describe(error, self._subscription.budget)
        _log.warning(
            "handler_failed",
            consumer=handling.consumer,
            event_id=handling.envelope.event_id,
            attempt=attempt,
            error=detail,
        )
        if handling.applied:
            return Done("applied")
        if isinstance(error, Overloaded):
            await self._attempts.failed(handling, counts=False)
            return Later(error.retry_after, "unready")
        await self._attempts.failed(handling, counts=True)
        if attempt >= ATTEMPT_LIMIT:
            return Dead(handling, "attempts_exhausted", detail, attempt)
        return Later(delay_after(attempt))


def _describe(error: Exception, budget: float) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return f"TimeoutError: over its budget of {budget} s"
    return f"{type(error).__name__}: {error!s:.500}"


def _attributes(subscription: Subscription) -> dict[str, str]:
    return {
        names.MESSAGING_SYSTEM: "nats",
        names.MESSAGING_OPERATION: "process",
        names.MESSAGING_TEMPLATE: subscription.subject,
        names.MESSAGING_CONSUMER: subscription.durable,
    }
