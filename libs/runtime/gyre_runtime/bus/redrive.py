"""Brings a dead letter back to the listener that could not handle it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from gyre_runtime.bus.dead_letters import REDRIVE, REDRIVE_LISTENER
from gyre_runtime.bus.publishing import NotPublished
from gyre_runtime.events.envelope import CONTENT_TYPE, MESSAGE_ID, derived_id
from gyre_runtime.events.letters import BODY_OMITTED, ORIGINAL, DeadLetter, read_letter
from gyre_runtime.events.names import DEAD_LETTERS


async def dead_letters(
    jetstream: JetStreamContext, tenant: str | None = None
) -> AsyncIterator[DeadLetter]:
    """Those not redriven yet, oldest first; of one tenant, or of all with None."""
    subject = f"gyre.deadletters.v1.*.*.{tenant or '*'}"
    sequence = 1
    while True:
        try:
            raw = await jetstream.get_msg(DEAD_LETTERS, seq=sequence, subject=subject, next=True)
        except NotFoundError:
            return
        yield read_letter(raw)
        sequence = (raw.seq or sequence) + 1


async def dead_letter(jetstream: JetStreamContext, sequence: int) -> DeadLetter:
    """Raises LookupError when there is none."""
    try:
        return read_letter(await jetstream.get_msg(DEAD_LETTERS, seq=sequence))
    except NotFoundError as error:
        raise LookupError(f"there is no dead letter {sequence}") from error


async def redrive(jetstream: JetStreamContext, sequence: int) -> None:
    """Publishes the original again, for the one listener that set it aside, with its attempts
    counted anew; then removes the letter. May be repeated. Raises LookupError or `NotPublished`.
    """
    letter = await dead_letter(jetstream, sequence)
    mark = derived_id("redrive", sequence, letter.time)
    headers = _original_headers(letter) | {
        REDRIVE: mark,
        REDRIVE_LISTENER: letter.listener,
        MESSAGE_ID: str(uuid.UUID(mark)),
    }
    acknowledged = await jetstream.publish(
        letter.origin_subject, await _body(jetstream, letter), headers=headers
    )
    if acknowledged.stream != letter.origin_stream:
        raise NotPublished(f"it went to {acknowledged.stream}, not to {letter.origin_stream}")
    await jetstream.delete_msg(DEAD_LETTERS, sequence)


async def _body(jetstream: JetStreamContext, letter: DeadLetter) -> bytes:
    if BODY_OMITTED not in letter.headers:
        return letter.body
    original = await jetstream.get_msg(letter.origin_stream, seq=letter.origin_sequence)
    return original.data or b""


def _original_headers(letter: DeadLetter) -> dict[str, str]:
    names = {CONTENT_TYPE.lower(): CONTENT_TYPE}
    kept = {
        name.removeprefix(ORIGINAL): value
        for name, value in letter.headers.items()
        if name.startswith(ORIGINAL)
    }
    return {names.get(name, name): value for name, value in kept.items()}
