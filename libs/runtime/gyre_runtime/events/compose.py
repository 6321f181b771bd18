"""An event said here and now becomes an outgoing message with its envelope."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from google.protobuf.message import Message

from gyre_runtime.events.envelope import Envelope, Outgoing, event_id, outgoing
from gyre_runtime.events.handling import handled
from gyre_runtime.events.names import stream_of
from gyre_runtime.telemetry import current_traceparent


def compose(
    event: Message, *, tenant: str, entity_id: str, cause: str | None, name: str | None = None
) -> Outgoing:
    """cause: what makes the id; by default the event being handled, else something random.
    name: stands for the content in the id, where that differs from run to run.

    Raises ValueError when the tenant is no token or the event is too large.
    """
    heard = handled.get()
    because = cause or (heard.envelope.event_id if heard else str(uuid.uuid4()))
    identity = event_id(event, cause=because, name=name)
    owner = event.DESCRIPTOR.full_name.split(".")[1]
    envelope = Envelope(
        event_id=identity,
        type=event.DESCRIPTOR.full_name,
        source=f"gyre/{owner}",
        time=datetime.now(UTC),
        entity_id=entity_id,
        tenant=tenant,
        correlation_id=heard.envelope.correlation_id if heard else identity,
        causation_id=heard.envelope.event_id if heard else "",
        traceparent=current_traceparent(),
    )
    return outgoing(event, envelope, stream_of(type(event)))
