"""How often an event was tried, counted before the handler starts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from gyre_runtime.events.handling import Handling

ATTEMPT_LIMIT = 12
START_LIMIT = 3


class Standing(Enum):
    """FRESH: run it. SUSPECT: it may have killed the process, run it alone. KILLER: it did so
    too often. APPLIED, DEAD: settled before."""

    FRESH = "fresh"
    SUSPECT = "suspect"
    KILLER = "killer"
    APPLIED = "applied"
    DEAD = "dead"


@dataclass(frozen=True)
class Start:
    """What is known of an event before its handler runs; `attempt` counts from 1."""

    standing: Standing
    attempt: int


class Attempts(Protocol):
    """Remembers attempts per consumer and event."""

    async def begin(
        self, handling: Handling, *, deliveries: int, redrive: str, alone: bool
    ) -> Start:
        """Counts one start, unless the event is settled, a killer, or a suspect and not alone.

        redrive: names the redrive that brought the message; a new one starts the count anew.
        """

    async def applied(self, handling: Handling) -> None:
        """The handler ended and opened no transaction of its own."""

    async def failed(self, handling: Handling, *, counts: bool) -> None:
        """The handler ended in an orderly way, without effect; `counts`: as an attempt."""

    async def passed(self, handling: Handling) -> None:
        """This message needs no run: the event is settled, or it is meant for another listener."""

    async def dead(self, handling: Handling) -> None:
        """The event is among the dead letters."""


class BrokerAttempts:
    """For services without a database: the bus counts deliveries, effects are idempotent."""

    async def begin(
        self, handling: Handling, *, deliveries: int, redrive: str, alone: bool
    ) -> Start:
        if deliveries > ATTEMPT_LIMIT:
            return Start(Standing.KILLER, deliveries)
        return Start(Standing.FRESH, deliveries)

    async def applied(self, handling: Handling) -> None:
        handling.applied = True

    async def failed(self, handling: Handling, *, counts: bool) -> None:
        return None

    async def dead(self, handling: Handling) -> None:
        return None

    async def passed(self, handling: Handling) -> None:
        return None
