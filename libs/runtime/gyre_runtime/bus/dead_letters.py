"""Dead letters: what cannot be handled is set aside with its reason, and comes back on command."""

from __future__ import annotations

from collections.abc import Mapping

from gyre_runtime.bus.incoming import Incoming
from gyre_runtime.bus.listeners import Subscription
from gyre_runtime.bus.outcomes import Dead
from gyre_runtime.bus.publisher import Publisher
from gyre_runtime.events.envelope import (
    CONTENT_TYPE,
    HEADER_LIMIT,
    MESSAGE_ID,
    MESSAGE_LIMIT,
    Outgoing,
    derived_id,
    encode_value,
)
from gyre_runtime.events.letters import BODY_OMITTED, ORIGINAL
from gyre_runtime.events.names import DEAD_LETTERS, dead_letter_subject

REDRIVE = "gyre-redrive"
REDRIVE_LISTENER = "gyre-redrive-listener"
_HEADERS_LIMIT = 16 * 1024


class DeadLetters:
    """Publishes the dead letters of one subscription."""

    def __init__(self, subscription: Subscription, publisher: Publisher) -> None:
        self._subscription = subscription
        self._publisher = publisher

    async def set_aside(self, message: Incoming, outcome: Dead) -> None:
        """Returns when the letter is on disk on the bus; may be repeated."""
        await self._publisher.publish([self._letter(message, outcome)])

    def _letter(self, message: Incoming, outcome: Dead) -> Outgoing:
        tenant = outcome.handling.envelope.tenant
        headers = _about(self._subscription, message, outcome) | _originals(message.headers)
        body = message.data
        if len(body) + _size(headers) > MESSAGE_LIMIT:
            body, headers = b"", headers | {BODY_OMITTED: str(len(message.data))}
        return Outgoing(
            event_id=headers[MESSAGE_ID],
            subject=dead_letter_subject(
                self._subscription.listener, self._subscription.name, tenant
            ),
            stream=DEAD_LETTERS,
            headers=headers,
            body=body,
        )


def _about(subscription: Subscription, message: Incoming, outcome: Dead) -> dict[str, str]:
    redrive = message.headers.get(REDRIVE, "")
    place = (subscription.durable, message.stream, message.sequence, redrive)
    pairs = {
        MESSAGE_ID: derived_id("dead", *place),
        "gyre-reason": outcome.reason,
        "gyre-detail": outcome.detail,
        "gyre-attempts": str(outcome.attempts),
        "gyre-listener": subscription.listener,
        "gyre-origin-stream": message.stream,
        "gyre-origin-subject": message.subject,
        "gyre-origin-sequence": str(message.sequence),
    }
    return {name: encode_value(value) for name, value in pairs.items()}


def _originals(headers: Mapping[str, str]) -> dict[str, str]:
    """Envelope and content type of the original; the rest is never copied, nor what is too long."""
    kept: dict[str, str] = {}
    for name, value in headers.items():
        low = name.lower()
        if not low.startswith("ce-") and low not in ("traceparent", CONTENT_TYPE.lower()):
            continue
        if len(name) + len(value) <= HEADER_LIMIT and _size(kept) < _HEADERS_LIMIT:
            kept[f"{ORIGINAL}{low}"] = value
    return kept


def _size(headers: Mapping[str, str]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers.items())
