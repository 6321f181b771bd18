"""The event being handled here and now, known to the database and to the publisher."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from gyre_runtime.events.envelope import Envelope


@dataclass
class Handling:
    """One run of a handler. `applied` turns true when its effect is committed."""

    consumer: str
    envelope: Envelope
    stream: str
    sequence: int
    applied: bool = False

    @property
    def key(self) -> str:
        """Names the event in the inbox; with the tenant, as anyone may choose an id."""
        return f"{self.envelope.tenant}/{self.envelope.event_id}"


handled: ContextVar[Handling | None] = ContextVar("gyre_handled", default=None)
