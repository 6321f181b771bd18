"""A candidate's way to everybody, or back: states, transitions, what has to be shown."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum

from gyre_inference.domain.experiments import Experiment, StickyBy, Variant
from gyre_inference.domain.faults import Conflict
from gyre_inference.domain.registry import NAME, message_violations
from gyre_inference.domain.requests import Violations

CHAMPION, CANDIDATE = "champion", "candidate"
PREFIX = "rollout-"
ANSWERED, SECONDS, IN_TIME, PAIRS = "answered", "seconds", "in_time", "pairs"
_MODEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}(\+[A-Za-z0-9._-]{1,62})?")
_METRIC = re.compile(r"-?(feedback|evaluation)\.[a-z0-9_.-]{1,64}")
_REGISTERED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}/[1-9][0-9]{0,8}")
_STEPS = 8
_KEY = 256


class RolloutKind(Enum):
    """What is rolled out."""

    MODEL = "MODEL"
    PROMPT = "PROMPT"


class RolloutState(Enum):
    """How far it has come; the contract says what each means."""

    REQUESTED = "REQUESTED"
    LOADING = "LOADING"
    PROBING = "PROBING"
    GATING = "GATING"
    SHADOW = "SHADOW"
    CANARY = "CANARY"
    PROMOTED = "PROMOTED"
    ROLLED_BACK = "ROLLED_BACK"


class Verdict(Enum):
    """What numbers say; INSUFFICIENT is never a reason to promote."""

    INSUFFICIENT = "INSUFFICIENT"
    NOT_WORSE = "NOT_WORSE"
    WORSE = "WORSE"


@dataclass(frozen=True)
class Plan:
    """What has to be shown; see the contract's `RolloutPlan`. keep: seconds."""

    steps: tuple[float, ...] = (0.05, 0.2, 0.5)
    metrics: tuple[str, ...] = ("feedback.helpful",)
    minimum: int = 50
    margin: float = 0.1
    false_alarms: float = 0.05
    wrong_promotions: float = 0.05
    shadow_share: float = 0.1
    shadow_pairs: int = 50
    attended: bool = False
    keep: float = 600.0
    sticky_by: StickyBy = StickyBy.CONVERSATION
    gated: bool = False

    @property
    def has_shadow(self) -> bool:
        """Whether the candidate answers unseen first."""
        return self.shadow_pairs > 0 and self.shadow_share > 0


@dataclass(frozen=True)
class MetricEvidence:
    """One metric of both; the contract's `RolloutMetric` says what the numbers mean."""

    metric: str
    champion_count: int
    champion_mean: float
    candidate_count: int
    candidate_mean: float
    worse: float
    worse_needed: float
    not_worse: float
    not_worse_needed: float
    verdict: Verdict


@dataclass(frozen=True)
class Evidence:
    """What was known in one state."""

    state: RolloutState
    step: int
    metrics: tuple[MetricEvidence, ...]
    verdict: Verdict

    @property
    def told(self) -> str:
        """Which metrics decided, for people."""
        ones = [one for one in self.metrics if one.verdict is self.verdict]
        return ", ".join(
            f"{one.metric} {one.candidate_mean:.3f} (n {one.candidate_count}) against "
            f"{one.champion_mean:.3f} (n {one.champion_count})"
            for one in ones
        )


@dataclass(frozen=True)
class Change:
    """A transition. author: empty where the service decided."""

    from_state: RolloutState
    to_state: RolloutState
    step: int
    weight: float
    reason: str
    author: str
    time: datetime
    evidence: Evidence | None = None


@dataclass(frozen=True)
class Observation:
    """Something that one answer came to. rollout_id: or that of another experiment, whose variants
    are the arms. unit: who counts once for the metric. metric `seconds`: how long the answer took.
    source: the judgement that says so; empty where nobody judged."""

    tenant: str
    rollout_id: str
    arm: str
    metric: str
    unit: str
    value: float
    source: str = ""


@dataclass(frozen=True)
class Doubt:
    """Whether a judgement counts, by the word that was said of it last: of two about one revision
    the one with the higher rank."""

    feedback_id: str
    revision: int
    rank: int
    counts: bool


@dataclass(frozen=True)
class Pair:
    """Both answers to one request. outcome: 1 where the candidate's is better, -1 where worse."""

    answer_id: str
    outcome: int
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Rollout:
    """See the contract's `Rollout`. number: counts transitions. creation_key: made by whoever
    started it; a repetition finds it."""

    rollout_id: str
    tenant: str
    kind: RolloutKind
    name: str
    champion: str
    candidate: str
    start: datetime
    workload: str = "answer"
    model_uri: str = ""
    plan: Plan = field(default_factory=Plan)
    state: RolloutState = RolloutState.REQUESTED
    step: int = 0
    author: str = ""
    message: str = ""
    attended: bool = False
    slow_after: float | None = None
    changes: tuple[Change, ...] = ()
    number: int = 0
    model: str = ""
    gate_id: str = ""
    creation_key: str = ""

    @property
    def weight(self) -> float:
        """Share of the candidate now."""
        if self.state is RolloutState.PROMOTED:
            return 1.0
        return self.plan.steps[self.step - 1] if self.state is RolloutState.CANARY else 0.0

    @property
    def is_over(self) -> bool:
        """Whether it runs no more."""
        return self.state in (RolloutState.PROMOTED, RolloutState.ROLLED_BACK)

    @property
    def since(self) -> datetime:
        """When the state, or its step, began."""
        return self.changes[-1].time if self.changes else self.start

    @property
    def shown(self) -> RolloutState:
        """Where requests come in: the shadow, or the canary at once."""
        return RolloutState.SHADOW if self.plan.has_shadow else RolloutState.CANARY

    @property
    def is_last_step(self) -> bool:
        """Whether everybody comes next."""
        return self.step >= len(self.plan.steps)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those that decide in the canary."""
        timed = () if self.slow_after is None else (IN_TIME,)
        return (*(name.lstrip("-") for name in self.plan.metrics), ANSWERED, *timed)

    def sticks(self) -> Experiment:
        """The experiment that shares the traffic. The candidate stands first, so whoever it
        answers at one step it answers at the next."""
        prompt = self.kind is RolloutKind.PROMPT
        candidate = Variant(
            CANDIDATE,
            self.weight,
            prompt_name=self.name if prompt else "",
            prompt_version=self.candidate if prompt else "",
            model="" if prompt else self.candidate,
        )
        # A champion without a name: whoever is asked next says, as without the rollout.
        champion = Variant(CHAMPION, 1 - self.weight)
        return Experiment(
            self.rollout_id,
            self.workload,
            (candidate, champion),
            self.plan.sticky_by,
            self.message,
            self.author,
            self.start,
        )

    def keeps_champion(self, now: datetime) -> bool:
        """Whether a promotion can still be taken back."""
        return self.since + timedelta(seconds=self.plan.keep) > now

    def read(self, seen: Observation) -> tuple[str, float] | None:
        """Metric and value, more being better; None where it does not count now."""
        if self.state is RolloutState.SHADOW and seen.metric == SECONDS:
            return SECONDS, seen.value
        if self.state is not RolloutState.CANARY:
            return None
        if seen.metric == SECONDS:
            limit = self.slow_after
            return None if limit is None else (IN_TIME, float(seen.value <= limit))
        if not 0 <= seen.value <= 1:
            return None
        if f"-{seen.metric}" in self.plan.metrics:
            return seen.metric, 1 - seen.value
        known = seen.metric == ANSWERED or seen.metric in self.plan.metrics
        return (seen.metric, seen.value) if known else None


def moved(
    rollout: Rollout,
    state: RolloutState,
    reason: str,
    now: datetime,
    *,
    author: str = "",
    evidence: Evidence | None = None,
) -> Rollout:
    """After a transition; CANARY again is its next step. Raises `Conflict` where the state does
    not allow it."""
    if state not in _NEXT[rollout.state]:
        raise Conflict(f"a rollout that is {rollout.state.value} does not become {state.value}")
    canary = state is RolloutState.CANARY
    if canary and rollout.state is state and rollout.is_last_step:
        raise Conflict("the canary has no further step")
    gone = replace(
        rollout,
        state=state,
        step=rollout.step + 1 if canary else 0,
        number=rollout.number + 1,
    )
    change = Change(rollout.state, state, gone.step, gone.weight, reason, author, now, evidence)
    return replace(gone, changes=(*rollout.changes, change))


def rollout_id_of(tenant: str, creation_key: str) -> str:
    """The same for the same key: whoever starts it again finds it."""
    hashed = hashlib.sha256(f"{tenant}\n{creation_key}".encode()).hexdigest()
    return f"{PREFIX}{hashed[:32]}"


def started_before(known: Rollout, wanted: Rollout) -> Rollout:
    """The one that a creation key stands for. Raises `Conflict` where it is about another thing."""
    same = known.kind is wanted.kind and known.creation_key == wanted.creation_key
    if same and (wanted.kind is RolloutKind.PROMPT or known.candidate == wanted.candidate):
        return known
    raise Conflict(f"the creation key stands for {known.rollout_id}, of {known.candidate!r}")


def replaced(before: Rollout, after: Rollout) -> tuple[str, str] | None:
    """What its name points to until now, and from now on; None where that does not change."""
    if after.state is RolloutState.PROMOTED:
        return before.champion, before.candidate
    if before.state is RolloutState.PROMOTED:
        return before.candidate, before.champion
    return None


def base_of(release: str) -> str:
    """The model of `MODEL+ADAPTER`."""
    return release.partition("+")[0]


def plan_violations(plan: Plan) -> Violations:
    """Every rule that a plan breaks."""
    steps = plan.steps
    rising = all(low < high for low, high in zip((0.0, *steps), (*steps, 1.0), strict=True))
    if not 1 <= len(steps) <= _STEPS or not rising:
        yield "plan.steps", f"must be 1 to {_STEPS} shares, rising, above 0 and below 1"
    if not 1 <= len(plan.metrics) <= _STEPS or not all(map(_METRIC.fullmatch, plan.metrics)):
        yield "plan.metrics", "must be 1 to 8 of feedback.NAME or evaluation.NAME"
    if not 1 <= plan.minimum <= 1_000_000:
        yield "plan.minimum", "must be 1 to 1000000"
    if not 0 < plan.margin <= 0.5:
        yield "plan.margin", "must be above 0 and at most 0.5"
    for name in ("false_alarms", "wrong_promotions"):
        if not 0 < getattr(plan, name) <= 0.5:
            yield f"plan.{name}", "must be above 0 and at most 0.5"
    if not 0 <= plan.shadow_share <= 1:
        yield "plan.shadow_share", "must be 0 to 1"
    if not 0 <= plan.shadow_pairs <= 100_000:
        yield "plan.shadow_pairs", "must be 0 to 100000"
    if not 0 <= plan.keep <= 30 * 86_400:
        yield "plan.keep_time", "must be 0 to 30 days"


def rollout_violations(rollout: Rollout) -> Violations:
    """Every rule that it breaks by itself."""
    yield from plan_violations(rollout.plan)
    yield from message_violations(rollout.message)
    for name in ("name", "workload"):
        if not NAME.fullmatch(getattr(rollout, name)):
            yield name, "must match [a-z0-9._-]{1,64}"
    if rollout.kind is RolloutKind.PROMPT:
        if rollout.workload == "generate":
            yield "workload", "Generate has no prompt"
    elif not _MODEL.fullmatch(rollout.candidate):
        yield "candidate", "must be a name on the model server, with +ADAPTER for one of its own"
    if rollout.model and not _REGISTERED.fullmatch(rollout.model):
        yield "model", "must be NAME/VERSION, as the model registry has it"
    if len(rollout.creation_key) > _KEY:
        yield "creation_key", f"must have at most {_KEY} characters"
    if rollout.candidate == rollout.champion:
        yield "candidate", "is the champion already"


_S = RolloutState
_BACK = _S.ROLLED_BACK
_NEXT: Mapping[RolloutState, frozenset[RolloutState]] = {
    _S.REQUESTED: frozenset({_S.LOADING, _S.GATING, _S.SHADOW, _S.CANARY, _BACK}),
    _S.LOADING: frozenset({_S.PROBING, _BACK}),
    _S.PROBING: frozenset({_S.GATING, _S.SHADOW, _S.CANARY, _BACK}),
    _S.GATING: frozenset({_S.SHADOW, _S.CANARY, _BACK}),
    _S.SHADOW: frozenset({_S.CANARY, _S.PROMOTED, _BACK}),
    _S.CANARY: frozenset({_S.CANARY, _S.PROMOTED, _BACK}),
    _S.PROMOTED: frozenset({_BACK}),
    _S.ROLLED_BACK: frozenset(),
}
