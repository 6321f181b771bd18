"""What becomes of one delivery."""

from __future__ import annotations

import random
from dataclasses import dataclass

from gyre_runtime.events.handling import Handling

LONGEST_DELAY = 300.0


@dataclass(frozen=True)
class Done:
    """Acknowledge. name: `applied`, `repeated` (was applied before) or `passed` (not for us)."""

    name: str


@dataclass(frozen=True)
class Later:
    """Again after `delay` seconds. name: `failed` or `unready` (which is no attempt)."""

    delay: float
    name: str = "failed"


@dataclass(frozen=True)
class Dead:
    """To the dead letters. reason: a word that can be counted; detail: for people."""

    handling: Handling
    reason: str
    detail: str
    attempts: int


Outcome = Done | Later | Dead


def delay_after(attempt: int) -> float:
    """Seconds, doubling from 1 to at most 300, jittered so that failures do not come in step."""
    longest = min(LONGEST_DELAY, 2.0 ** (attempt - 1))
    return longest * random.uniform(0.5, 1.0)
