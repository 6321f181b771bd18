"""A dead letter as it lies on the bus, and back into words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote

from nats.js.api import RawStreamMsg

ORIGINAL = "gyre-original-"
BODY_OMITTED = "gyre-body-omitted"


@dataclass(frozen=True)
class DeadLetter:
    """sequence: its place in the dead letters, which names it."""

    sequence: int
    time: datetime | None
    listener: str
    reason: str
    detail: str
    attempts: int
    event_type: str
    event_id: str
    tenant: str
    origin_stream: str
    origin_subject: str
    origin_sequence: int
    headers: dict[str, str]
    body: bytes


def read_letter(raw: RawStreamMsg) -> DeadLetter:
    """What a stranger's message does not say is empty."""
    headers = dict(raw.headers or {})
    values = {name: unquote(value) for name, value in headers.items()}
    return DeadLetter(
        sequence=raw.seq or 0,
        time=raw.time,
        listener=values.get("gyre-listener", ""),
        reason=values.get("gyre-reason", ""),
        detail=values.get("gyre-detail", ""),
        attempts=int(values.get("gyre-attempts", "0")),
        event_type=values.get(f"{ORIGINAL}ce-type", ""),
        event_id=values.get(f"{ORIGINAL}ce-id", ""),
        tenant=(raw.subject or "").rpartition(".")[2],
        origin_stream=values.get("gyre-origin-stream", ""),
        origin_subject=values.get("gyre-origin-subject", ""),
        origin_sequence=int(values.get("gyre-origin-sequence", "0")),
        headers=headers,
        body=raw.data or b"",
    )
