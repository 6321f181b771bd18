"""Evidence that may be looked at at any time: e-values of two arms, and of pairs.

An e-value has expectation at most 1 at every stopping time while its hypothesis is true, so it ever
reaches 1/a with probability at most a (Ville), however often it is looked at. Values lie between 0
and 1 and need not be 0 or 1. Assumed: one arm's values have one mean, and a person counts once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

_PRIOR = 0.5
_BETS = tuple((place + 0.5) / 20 for place in range(20))
_ROUNDS = 48
_GOLDEN = (math.sqrt(5) - 1) / 2
_LARGEST = 700.0  # of a logarithm whose number can still be told


@dataclass(frozen=True)
class Arm:
    """count: values. total: their sum."""

    count: int = 0
    total: float = 0.0

    @property
    def mean(self) -> float:
        """0 where there is nothing."""
        return self.total / self.count if self.count else 0.0


@dataclass(frozen=True)
class Pairs:
    """How often the candidate's answer to the same request was better, as good, worse."""

    better: int = 0
    equal: int = 0
    worse: int = 0

    @property
    def count(self) -> int:
        """All of them."""
        return self.better + self.equal + self.worse


def worse(champion: Arm, candidate: Arm, tolerance: float = 0.0) -> float:
    """E-value against: the candidate's mean is at least the champion's less the tolerance.

    The likelihood of a mixture over all means of both, by the best that the hypothesis allows.
    """
    if candidate.mean >= champion.mean - tolerance:
        return _ratio(champion, candidate, _free(champion) + _free(candidate))
    return _ratio(champion, candidate, _bound(champion, candidate, tolerance))


def not_worse(champion: Arm, candidate: Arm, margin: float) -> float:
    """E-value against: the candidate's mean is at most the champion's less the margin."""
    if candidate.mean <= champion.mean - margin:
        return _ratio(champion, candidate, _free(champion) + _free(candidate))
    return _ratio(champion, candidate, _bound(champion, candidate, margin))


def pairs_worse(pairs: Pairs) -> float:
    """E-value against: the candidate is better at least as often as it is worse.

    A mixture of bets of constant shares of the capital on "worse".
    """
    return _bet(lambda share: pairs.worse * math.log1p(share) + pairs.better * math.log1p(-share))


def pairs_not_worse(pairs: Pairs, margin: float) -> float:
    """E-value against: the candidate is worse more often than better, by the margin or more."""

    def log_capital(share: float) -> float:
        stake = share / (1 - margin)
        return (
            pairs.better * math.log1p(stake * (1 + margin))
            + pairs.equal * math.log1p(stake * margin)
            + pairs.worse * math.log1p(-share)
        )

    return _bet(log_capital)


def _bet(log_capital: Callable[[float], float]) -> float:
    logs = [log_capital(share) for share in _BETS]
    highest = max(logs)
    mean = sum(math.exp(one - highest) for one in logs) / len(logs)
    return _told(highest + math.log(mean))


def _ratio(champion: Arm, candidate: Arm, log_best: float) -> float:
    return _told(_mixture(champion) + _mixture(candidate) - log_best)


def _told(logarithm: float) -> float:
    return math.exp(min(logarithm, _LARGEST))


def _mixture(arm: Arm) -> float:
    """Logarithm of the likelihood, averaged over means as Jeffreys' prior weighs them."""
    good, bad = arm.total, arm.count - arm.total
    return _log_beta(_PRIOR + good, _PRIOR + bad) - _log_beta(_PRIOR, _PRIOR)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _free(arm: Arm) -> float:
    """Logarithm of the highest likelihood."""
    return _likelihood(arm, arm.mean)


def _likelihood(arm: Arm, mean: float) -> float:
    """Of values between 0 and 1 it is an upper bound, which keeps the e-value valid."""
    good, bad = arm.total, arm.count - arm.total
    return _times_log(good, mean) + _times_log(bad, 1 - mean)


def _times_log(count: float, chance: float) -> float:
    if count <= 1e-12:
        return 0.0
    return count * math.log(chance) if chance > 0 else -math.inf


def _bound(champion: Arm, candidate: Arm, shift: float) -> float:
    """Logarithm of the highest likelihood where the candidate's mean is the champion's less
    `shift`; it is concave in the mean."""
    if not shift:
        both = Arm(champion.count + candidate.count, champion.total + candidate.total)
        return _free(both)

    def at(mean: float) -> float:
        return _likelihood(champion, mean) + _likelihood(candidate, mean - shift)

    return _highest(at, shift, 1.0)


def _highest(of: Callable[[float], float], low: float, high: float) -> float:
    """Golden section."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = of(left), of(right)
    best = max(of(low), of(high), at_left, at_right)
    for _ in range(_ROUNDS):
        if at_left < at_right:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = of(right)
        else:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = of(left)
        best = max(best, at_left, at_right)
    return best
