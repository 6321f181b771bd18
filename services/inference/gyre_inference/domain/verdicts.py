"""What a rollout's numbers come to, with its stated error rates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gyre_inference.domain.rollouts import (
    CANDIDATE,
    CHAMPION,
    IN_TIME,
    PAIRS,
    Evidence,
    MetricEvidence,
    Rollout,
    RolloutState,
    Verdict,
)
from gyre_inference.domain.sequential import (
    Arm,
    Pairs,
    not_worse,
    pairs_not_worse,
    pairs_worse,
    worse,
)

Sums = Mapping[tuple[str, str], Arm]
"""By metric and arm."""
_SCREEN = 2.0  # cheap checks are a screen: in the shadow the margin is twice as wide
_SLOW = 0.9


def judged(rollout: Rollout, told: Sums, counting: Sums) -> Evidence:
    """Of one step of the canary. told: all judgements as they came. counting: less those that were
    taken back or are doubted. Steps are tests of their own: what changes over time between
    steps of different shares is not taken for a difference of the arms.

    The rate of false alarms is shared by all steps and metrics (and the shadow). Each step has to
    be passed on its own, and on every metric, so the rate of wrong promotions needs no sharing.

    Taking values out after they were seen breaks an e-value. That of all values as they came is
    sound, whatever becomes of them later, so what is acted on must hold by both: the lower one.
    """
    metrics = [_metric(rollout, name, told, counting) for name in rollout.metrics]
    return Evidence(rollout.state, rollout.step, tuple(metrics), _together(metrics))


def compared(rollout: Rollout, pairs: Pairs) -> Evidence:
    """Of the shadow. The means are shares of pairs in which the arm is at least as good."""
    plan = rollout.plan
    fall, enough = pairs_worse(pairs), pairs_not_worse(pairs, min(plan.margin * _SCREEN, 0.5))
    fall_needed, enough_needed = _needed(rollout)
    count = pairs.count
    found = MetricEvidence(
        PAIRS,
        count,
        (count - pairs.better) / count if count else 0.0,
        count,
        (count - pairs.worse) / count if count else 0.0,
        fall,
        fall_needed,
        enough,
        enough_needed,
        _verdict(fall >= fall_needed, count >= plan.shadow_pairs and enough >= enough_needed),
    )
    return Evidence(RolloutState.SHADOW, 0, (found,), found.verdict)


def slow_after(seconds: Iterable[float]) -> float | None:
    """What nine of ten answers take at most; None where there are too few to say."""
    known = sorted(seconds)
    return known[int(_SLOW * (len(known) - 1))] if len(known) >= 10 else None


def _metric(rollout: Rollout, name: str, told: Sums, counting: Sums) -> MetricEvidence:
    plan = rollout.plan
    both = [
        (sums.get((name, CHAMPION), Arm()), sums.get((name, CANDIDATE), Arm()))
        for sums in (told, counting)
    ]
    champion, candidate = both[-1]
    # A little slower is no reason to go back; judged worse, or failing more often, is.
    tolerance = plan.margin if name == IN_TIME else 0.0
    fall = min(worse(old, new, tolerance) for old, new in both)
    enough = min(not_worse(old, new, plan.margin) for old, new in both)
    fall_needed, enough_needed = _needed(rollout)
    return MetricEvidence(
        name,
        champion.count,
        champion.mean,
        candidate.count,
        candidate.mean,
        fall,
        fall_needed,
        enough,
        enough_needed,
        _verdict(fall >= fall_needed, candidate.count >= plan.minimum and enough >= enough_needed),
    )


def _needed(rollout: Rollout) -> tuple[float, float]:
    plan = rollout.plan
    tests = (len(plan.metrics) + 2) * len(plan.steps) + plan.has_shadow
    return tests / plan.false_alarms, 1 / plan.wrong_promotions


def _verdict(is_worse: bool, is_enough: bool) -> Verdict:
    if is_worse:
        return Verdict.WORSE
    return Verdict.NOT_WORSE if is_enough else Verdict.INSUFFICIENT


def _together(metrics: list[MetricEvidence]) -> Verdict:
    found = {one.verdict for one in metrics}
    if Verdict.WORSE in found:
        return Verdict.WORSE
    return Verdict.NOT_WORSE if found == {Verdict.NOT_WORSE} else Verdict.INSUFFICIENT
