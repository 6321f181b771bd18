"""Signs weighed: is this text an attempt, and at what?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gyre_evaluation.domain.abuse.signs import EXTRACTION, signs_in

# Printed by `python -m measuring attempts --fit`.
WEIGHTS: Mapping[str, float] = {
    "alter_text": 2.02,
    "assemble": 6.0,
    "authority": 3.21,
    "bait": 4.98,
    "decode": 5.95,
    "dialogue": 2.43,
    "fiction": 6.67,
    "long": 4.41,
    "mode": 5.62,
    "other_people": 6.82,
    "override": 6.23,
    "override_foreign": 6.4,
    "own_rules": 6.37,
    "pressure": 2.34,
    "repeat_above": 5.71,
    "repetition": 1.78,
    "reply_shaping": 7.11,
    "role": 1.42,
    "secret": 7.02,
    "secret_foreign": 6.27,
    "unbound": 5.28,
    "very_long": 0.71,
}
BIAS = -3.52
THRESHOLD = -2.09


class Aim(StrEnum):
    """What an attempt is after."""

    INJECTION = "injection"
    """Other instructions than those it was given."""
    EXTRACTION = "extraction"
    """The prompt, secrets or other people's data."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """score: log-odds above the threshold. signs: rules that spoke, for people."""

    aim: Aim
    score: float
    signs: tuple[str, ...]


def attempt_in(text: str) -> Attempt | None:
    """None for an ordinary question."""
    signs = signs_in(text)
    score = BIAS + sum(WEIGHTS[name] for name in signs) - THRESHOLD
    if score < 0:
        return None
    aim = Aim.EXTRACTION if signs & EXTRACTION else Aim.INJECTION
    return Attempt(aim, score, tuple(sorted(signs)))
