"""Two answers to one request, compared by cheap checks alone."""

from __future__ import annotations

from dataclasses import dataclass

from gyre_inference.domain.rollouts import Pair

_NOTICED = 0.1
_TIMES_LONGER = 3.0
_TIMES_SLOWER = 2.0
_UNNOTICED = 0.25  # seconds


@dataclass(frozen=True)
class Checks:
    """valid: share of its citations that name a sentence shown. grounded: share of its sentences
    that those support; None where there were none. length: characters. seconds: of writing."""

    valid: float
    grounded: float | None
    length: int
    seconds: float


def paired(answer_id: str, champion: Checks, candidate: Checks | None) -> Pair:
    """candidate: None where it failed, which is worse. Better or worse where the checks agree."""
    if candidate is None:
        return Pair(answer_id, -1, {"failed": 1.0})
    signs = {
        "valid": _sign(champion.valid, candidate.valid),
        "grounded": _grounded(champion, candidate),
        "length": _length(champion.length, candidate.length),
        "latency": _latency(champion.seconds, candidate.seconds),
    }
    found = set(signs.values()) - {0}
    outcome = found.pop() if len(found) == 1 else 0
    return Pair(answer_id, outcome, {name: float(sign) for name, sign in signs.items()})


def _sign(champion: float, candidate: float) -> int:
    difference = candidate - champion
    return 0 if abs(difference) <= _NOTICED else (1 if difference > 0 else -1)


def _grounded(champion: Checks, candidate: Checks) -> int:
    if champion.grounded is None or candidate.grounded is None:
        return 0
    return _sign(champion.grounded, candidate.grounded)


def _length(champion: int, candidate: int) -> int:
    """Much longer or shorter is worse; neither is better."""
    low, high = sorted((champion, candidate))
    return -1 if high > _TIMES_LONGER * max(low, 1) and high > 80 else 0


def _latency(champion: float, candidate: float) -> int:
    if candidate > _TIMES_SLOWER * champion + _UNNOTICED:
        return -1
    return 1 if champion > _TIMES_SLOWER * candidate + _UNNOTICED else 0
