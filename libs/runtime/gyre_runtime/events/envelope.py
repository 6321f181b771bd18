"""CloudEvents 1.0, NATS binary mode: the envelope as headers and back."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from google.protobuf.message import Message

from gyre_runtime.events.names import TOKEN, subject_of, token

CONTENT_TYPE = "Content-Type"
MESSAGE_ID = "Nats-Msg-Id"
PROTOBUF = "application/protobuf"
JSON = "application/json"
HEADER_LIMIT = 1024
MESSAGE_LIMIT = 900 * 1024
_NAMESPACE = uuid.UUID("6f6f0c52-6f0e-5d0c-9d4c-3c1a4f5f8a11")
# The NATS binding of CloudEvents: printable ASCII but space, double quote and percent sign.
_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


class BadEnvelope(Exception):
    """The headers or the subject cannot be read; `reason` is a word that can be counted."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Envelope:
    """What is known of an event beside its body. `tenant` comes from the subject alone."""

    event_id: str
    type: str
    source: str
    time: datetime
    entity_id: str
    tenant: str
    correlation_id: str
    causation_id: str
    traceparent: str = ""


@dataclass(frozen=True)
class Delivery:
    """One delivery of an event to a handler; `attempt` counts from 1."""

    envelope: Envelope
    attempt: int

    @property
    def tenant(self) -> str:
        return self.envelope.tenant


@dataclass(frozen=True)
class Outgoing:
    """An event ready for the wire."""

    event_id: str
    subject: str
    stream: str
    headers: dict[str, str]
    body: bytes


def event_id(event: Message, *, cause: str, name: str | None = None) -> str:
    """UUIDv5 of what caused the event and what it says: a repeated cause makes the same id.

    name: in place of what it says, where that differs from run to run (vectors do).
    The cause must not be guessable by strangers (an event's id, or a random one).
    """
    said = event.SerializeToString(deterministic=True).hex() if name is None else name
    return str(uuid.uuid5(_NAMESPACE, f"{cause}\n{event.DESCRIPTOR.full_name}\n{said}"))


def derived_id(*parts: object) -> str:
    """UUIDv5 of the parts, in order."""
    return str(uuid.uuid5(_NAMESPACE, "\n".join(map(str, parts))))


def encode_value(value: str) -> str:
    """Percent-encoded and at most 1 KB: a longer header closes the connection for good."""
    encoded = quote(value, safe=_SAFE)
    if len(encoded) <= HEADER_LIMIT:
        return encoded
    cut = encoded[: HEADER_LIMIT - 1]
    return cut[: cut.rfind("%")] if "%" in cut[-2:] else cut


def headers_of(envelope: Envelope) -> dict[str, str]:
    """Headers of an event with a protobuf body."""
    pairs = {
        "ce-specversion": "1.0",
        "ce-id": envelope.event_id,
        "ce-type": envelope.type,
        "ce-source": envelope.source,
        "ce-time": envelope.time.isoformat().replace("+00:00", "Z"),
        "ce-subject": envelope.entity_id,
        "ce-partitionkey": envelope.entity_id,
        "ce-correlationid": envelope.correlation_id,
        "ce-causationid": envelope.causation_id,
        "traceparent": envelope.traceparent,
        MESSAGE_ID: envelope.event_id,
    }
    headers = {name: encode_value(value) for name, value in pairs.items() if value}
    return headers | {CONTENT_TYPE: PROTOBUF}


def outgoing(event: Message, envelope: Envelope, stream: str) -> Outgoing:
    """Raises ValueError when the tenant is no token or the event is too large for the bus."""
    body = event.SerializeToString(deterministic=True)
    headers = headers_of(envelope)
    size = len(body) + sum(len(name) + len(value) + 4 for name, value in headers.items())
    if size > MESSAGE_LIMIT:
        raise ValueError(
            f"{envelope.type} has {size} bytes, over {MESSAGE_LIMIT}: send a reference"
        )
    subject = subject_of(type(event), token(envelope.tenant))
    return Outgoing(envelope.event_id, subject, stream, headers, body)


def tenant_of(subject: str) -> str:
    """Raises `BadEnvelope` where the subject's last token is no tenant."""
    tenant = subject.rpartition(".")[2]
    if not TOKEN.fullmatch(tenant):
        raise BadEnvelope("bad_tenant", "the subject's last token must be 1 to 64 of [A-Za-z0-9_-]")
    return tenant


def read_envelope(
    subject: str,
    headers: Mapping[str, str],
    *,
    expected: str,
    fallback_id: Callable[[], str],
    time: datetime,
) -> Envelope:
    """The envelope of a message; what a person who publishes by hand leaves out is filled in.

    expected: the protobuf name that the subject promises. fallback_id, time: for absent headers.
    """
    values = {name.lower(): unquote(value) for name, value in headers.items()}
    _check_type(values.get("ce-type", expected), expected)
    identity = values.get("ce-id") or values.get(MESSAGE_ID.lower()) or fallback_id()
    if len(identity) > 256:
        raise BadEnvelope("bad_envelope", "ce-id has more than 256 characters")
    return Envelope(
        event_id=identity,
        type=expected,
        source=values.get("ce-source", ""),
        time=_time(values.get("ce-time"), time),
        entity_id=values.get("ce-subject", ""),
        tenant=tenant_of(subject),
        correlation_id=values.get("ce-correlationid", identity),
        causation_id=values.get("ce-causationid", ""),
        traceparent=values.get("traceparent", ""),
    )


def _check_type(said: str, expected: str) -> None:
    if said == expected:
        return
    if _without_version(said) == _without_version(expected):
        raise BadEnvelope(
            "unknown_version", f"this listener understands {expected}, not {said:.200}"
        )
    raise BadEnvelope("unknown_type", f"this listener understands {expected}, not {said:.200}")


def _without_version(name: str) -> list[str]:
    parts = name.split(".")
    return parts[:2] + parts[3:]


def _time(said: str | None, received: datetime) -> datetime:
    if not said:
        return received
    try:
        time = datetime.fromisoformat(said)
    except ValueError as error:
        raise BadEnvelope("bad_envelope", "ce-time is no RFC 3339 time") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
