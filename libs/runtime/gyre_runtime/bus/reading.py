"""From a message to an event, or to the reason why it is none."""

from __future__ import annotations

from functools import partial
from typing import TypeVar

from google.protobuf.message import Message

from gyre_runtime.bus.incoming import Incoming
from gyre_runtime.bus.listeners import Subscription
from gyre_runtime.events.body import read_body
from gyre_runtime.events.envelope import Envelope, derived_id, read_envelope
from gyre_runtime.events.handling import Handling

EventT = TypeVar("EventT", bound=Message)


def read(event: type[EventT], message: Incoming) -> tuple[Envelope, EventT]:
    """Raises `BadEnvelope`, whatever the bytes are."""
    envelope = read_envelope(
        message.subject,
        message.headers,
        expected=event.DESCRIPTOR.full_name,
        fallback_id=partial(derived_id, message.stream, message.sequence),
        time=message.time,
    )
    return envelope, read_body(event, message.headers, message.data)


def handling_of(subscription: Subscription, message: Incoming, envelope: Envelope) -> Handling:
    return Handling(subscription.durable, envelope, message.stream, message.sequence)


def unread(subscription: Subscription, message: Incoming) -> Handling:
    """Stands for a message that cannot be read: its place in the stream is its name."""
    envelope = Envelope(
        event_id=derived_id("unread", message.stream, message.sequence),
        type=subscription.event.DESCRIPTOR.full_name,
        source="",
        time=message.time,
        entity_id="",
        tenant=message.subject.rpartition(".")[2],
        correlation_id="",
        causation_id="",
    )
    return handling_of(subscription, message, envelope)
