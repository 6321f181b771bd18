"""The decision to train: who wanted it, and whether the policy lets it be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gyre_retraining.domain.trainings import Training, TriggerKind

ANY = "*"
ACCEPTED = "accepted"


class TrainingRefused(Exception):
    """The policy forbids a training now.

    reason: a word that can be counted. detail: one sentence for people, with what would help.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Policy:
    """When a recipe is trained for a tenant. 0 and None switch a part off.

    tenant: `*` is every tenant that judged anything. minimum_judgements: new ones since the last
    training was wanted. metrics: judgements of these count; empty is all. every: the schedule's
    interval. cool_down: how long nothing but a person wants another one after a training was.
    trainings_per_day, minutes_per_week: a budget that binds persons, too.
    """

    name: str
    recipe: str
    tenant: str = ANY
    minimum_judgements: int = 0
    metrics: frozenset[str] = frozenset()
    drift: bool = False
    every: timedelta | None = None
    cool_down: timedelta = timedelta(0)
    trainings_per_day: int = 0
    minutes_per_week: float = 0.0

    def covers(self, tenant: str, recipe: str) -> bool:
        return self.recipe == recipe and self.tenant in (ANY, tenant)


@dataclass(frozen=True, slots=True)
class Wish:
    """A training that is wanted, and the policy that speaks about it: None lets it be. watermark:
    judgements heard by then, as the policy counts them."""

    training: Training
    policy: Policy | None
    watermark: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """Of one tenant and recipe. running: trainings that have not ended. last: when the last one
    was wanted. day: those wanted within a day. minutes: of jobs within a week."""

    running: int = 0
    last: datetime | None = None
    day: int = 0
    minutes: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """reason: `accepted`, `already_training`, `cool_down`, `day_budget` or `week_budget`."""

    accepted: bool
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a wish, as it is kept. repeated: the cause had its training before, and
    `training_id` is that one."""

    tenant: str
    recipe: str
    kind: TriggerKind
    cause: str
    by: str
    verdict: Verdict
    training_id: str
    watermark: int
    time: datetime
    repeated: bool = False


def judge(wish: Wish, history: History, now: datetime) -> Verdict:
    """Whether the wish becomes a training."""
    policy = wish.policy
    if policy is None:
        return _yes(wish)
    by_itself = wish.training.trigger.kind is not TriggerKind.PERSON
    if by_itself and history.running:
        return _no("already_training", "a training of this recipe has not ended yet")
    if by_itself and history.last is not None and now < history.last + policy.cool_down:
        until = history.last + policy.cool_down
        return _no(
            "cool_down", f"the cool-down of {policy.name} ends at {until:%Y-%m-%d %H:%M} UTC"
        )
    if policy.trainings_per_day and history.day >= policy.trainings_per_day:
        return _no("day_budget", f"{policy.name} allows {policy.trainings_per_day} trainings a day")
    if policy.minutes_per_week and history.minutes >= policy.minutes_per_week:
        said = f"{policy.name} allows {policy.minutes_per_week:g} minutes a week"
        return _no("week_budget", f"{said}; {history.minutes:.0f} are used")
    return _yes(wish)


def policy_of(policies: Sequence[Policy], tenant: str, recipe: str) -> Policy | None:
    """The first one that speaks about them; one that names the tenant comes before `*`."""
    covering = [one for one in policies if one.covers(tenant, recipe)]
    return min(covering, key=lambda one: one.tenant == ANY, default=None)


def judgements_cause(policy: Policy, watermark: int) -> str:
    """Two processes that count at different moments name the same cause: the count at the last
    training, which only a new one changes."""
    return f"judgements/{policy.name}/after-{watermark}"


def schedule_cause(policy: Policy, now: datetime) -> str:
    """The same for every moment of an interval; intervals are counted from 1970."""
    assert policy.every is not None
    seconds = policy.every.total_seconds()
    slot = int(now.timestamp() // seconds)
    return f"schedule/{policy.name}/{int(slot * seconds)}"


def drift_cause(drift_id: str) -> str:
    return f"drift/{drift_id}"


def _yes(wish: Wish) -> Verdict:
    return Verdict(True, ACCEPTED, wish.training.trigger.reason)


def _no(reason: str, detail: str) -> Verdict:
    return Verdict(False, reason, detail)
