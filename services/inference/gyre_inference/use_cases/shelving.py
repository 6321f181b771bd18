"""What happens on a shelf: a draft is kept, a label is moved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from gyre_inference.domain.faults import Conflict, NotFound
from gyre_inference.domain.registry import (
    PRODUCTION,
    Draft,
    Holdings,
    Key,
    Move,
    Registered,
    Version,
)
from gyre_inference.ports import Shelf


@dataclass(frozen=True)
class Promotion:
    """A label to move. expected: where it must point now; 0 does not look."""

    wanted: str
    label: str
    message: str
    author: str
    expected: int = 0


async def register(key: Key, shelf: Shelf, draft: Draft) -> Registered:
    """Keeps it, unless its content is known, and moves its labels."""
    known = await shelf.known(draft.digest)
    registered = planned(key, shelf.held, draft, known)
    if registered.is_new:
        await shelf.keep(registered.version)
        # From the tenant's first own version on, a new release changes nothing for it.
        for label in {PRODUCTION} & shelf.held.labels.keys() - shelf.held.own:
            await shelf.pin(label, shelf.held.labels[label])
    for move in registered.moves:
        await shelf.move(move)
    return registered


def planned(key: Key, held: Holdings, draft: Draft, known: Version | None) -> Registered:
    """What becomes of a draft. The first version of a name is in force at once."""
    now = datetime.now(UTC)
    number = known.number if known else held.newest + 1
    version = known or Version(
        key, number, draft.body, draft.digest, draft.message, draft.author, now
    )
    labels = dict.fromkeys((*([] if held.newest else [PRODUCTION]), *draft.labels))
    moves = (
        Move(label, held.labels.get(label, 0), number, draft.author, draft.message, now)
        for label in labels
    )
    moved = tuple(move for move in moves if move.from_number != move.to_number)
    return Registered(version, known is None, moved)


async def promote(key: Key, shelf: Shelf, label: str, promotion: Promotion) -> Move | None:
    """Moves a label; None where it points there. Raises `NotFound`, `Conflict`."""
    number = shelf.held.number(key, promotion.wanted)
    now = shelf.held.labels.get(label, 0)
    if promotion.expected and promotion.expected != now:
        raise Conflict(f"{label!r} of {key.name!r} points to version {now}: look again")
    if await shelf.version(number) is None:
        raise NotFound(f"no {key.kind.value} {key.name!r} of version {number}")
    if number == now:
        return None
    move = Move(label, now, number, promotion.author, promotion.message, datetime.now(UTC))
    await shelf.move(move)
    return move
