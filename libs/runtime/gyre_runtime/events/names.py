"""Every name on the bus is computed from an event's protobuf name."""

from __future__ import annotations

import re

from google.protobuf.message import Message

TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
DEAD_LETTERS = "DEADLETTERS"
CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_DURABLE_LENGTH = 32


def token(value: str) -> str:
    """`value` where it may stand in a subject; raises ValueError otherwise."""
    if not TOKEN.fullmatch(value):
        raise ValueError(f"{value!r:.80} must be 1 to 64 letters, digits, '_' or '-'")
    return value


def event_name(event: type[Message]) -> str:
    """`DocumentChunked` -> `document_chunked`."""
    return CAPITAL.sub("_", event.DESCRIPTOR.name).lower()


def subject_prefix(event: type[Message]) -> str:
    """`gyre.ingestion.v1.document_chunked`; the tenant follows."""
    return f"{event.DESCRIPTOR.full_name.rpartition('.')[0]}.{event_name(event)}"


def subject_of(event: type[Message], tenant: str) -> str:
    """`gyre.ingestion.v1.document_chunked.acme`; tenant `*` is the filter for all tenants."""
    return f"{subject_prefix(event)}.{tenant if tenant == '*' else token(tenant)}"


def stream_of(event: type[Message]) -> str:
    """The owner in capitals: `INGESTION`."""
    return event.DESCRIPTOR.full_name.split(".")[1].upper()


def durable_of(listener: str, event: type[Message]) -> str:
    """`embedding-document_chunked`; raises ValueError when it is longer than 32 characters."""
    name = f"{token(listener)}-{event_name(event)}"
    if len(name) > _DURABLE_LENGTH:
        raise ValueError(f"consumer name {name!r} is longer than {_DURABLE_LENGTH} characters")
    return name


def dead_letter_subject(listener: str, event: str, tenant: str) -> str:
    """Unclean tokens become `_`: the letter must go through whatever the message was."""
    clean = (name if TOKEN.fullmatch(name) else "_" for name in (listener, event, tenant))
    return ".".join(("gyre.deadletters.v1", *clean))
