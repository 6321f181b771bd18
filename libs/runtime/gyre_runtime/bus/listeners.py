"""The bus door of a service: which events it hears and who handles them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from google.protobuf.message import Message

from gyre_runtime.events.envelope import Delivery
from gyre_runtime.events.names import durable_of, event_name, stream_of, subject_of, token

EventT = TypeVar("EventT", bound=Message)
Handler = Callable[[EventT, Delivery], Awaitable[None]]
GivenUp = Callable[[EventT, Delivery, str], Awaitable[None]]


@dataclass(frozen=True)
class Subscription:
    """One event that one listener hears. budget: seconds that a handler may take. given_up: is
    told of an event that went to the dead letters, and why."""

    listener: str
    event: type[Message]
    handler: Handler[Any]
    budget: float
    concurrency: int
    given_up: GivenUp[Any] | None = None

    @cached_property
    def durable(self) -> str:
        return durable_of(self.listener, self.event)

    @cached_property
    def stream(self) -> str:
        return stream_of(self.event)

    @cached_property
    def subject(self) -> str:
        return subject_of(self.event, "*")

    @cached_property
    def name(self) -> str:
        return event_name(self.event)


class Listeners:
    """Made by a function in `handlers.py` that is given its use cases; opens nothing."""

    def __init__(self, listener: str) -> None:
        self.listener = token(listener)
        self.subscriptions: list[Subscription] = []

    def on(
        self,
        event: type[EventT],
        *,
        budget: float = 30.0,
        concurrency: int = 1,
        given_up: GivenUp[EventT] | None = None,
    ) -> Callable[[Handler[EventT]], Handler[EventT]]:
        """Decorates `async def on_<event>(event, delivery) -> None`.

        The handler may run more than once for one event. `PermanentError` sends the event to
        the dead letters at once, any other exception repeats it later, at most 12 times.
        budget: seconds before it is ended and repeated. concurrency: events handled at once.
        given_up: called with the event, its last delivery and the dead letter's detail once the
            letter is on disk, perhaps more than once; a redrive may handle the event after it.
        """

        def register(handler: Handler[EventT]) -> Handler[EventT]:
            self.subscriptions.append(
                Subscription(self.listener, event, handler, budget, concurrency, given_up)
            )
            return handler

        return register
