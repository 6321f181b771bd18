"""What the stories need from the world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from gyre_evaluation.domain.abuse.watching import AbuseRules, Activity, Asked
from gyre_evaluation.domain.alerts import Acknowledgement, Alert, KnownAlert
from gyre_evaluation.domain.comparison import Agreement, Difference, Interval
from gyre_evaluation.domain.datasets import DatasetVersion, Sealing
from gyre_evaluation.domain.drift.findings import Finding
from gyre_evaluation.domain.drift.traffic import Check, Observation, Plan, Progress, Traffic
from gyre_evaluation.domain.examples import Example
from gyre_evaluation.domain.gates.awaited import Awaited
from gyre_evaluation.domain.gates.gate import Approval, Declared, Gate
from gyre_evaluation.domain.judgements import Judgement
from gyre_evaluation.domain.live import LiveAnswer
from gyre_evaluation.domain.metrics.case import Case, Evidence
from gyre_evaluation.domain.metrics.metric import Metric, Score
from gyre_evaluation.domain.originals import Original
from gyre_evaluation.domain.recorded import AnswerFilter, RecordedAnswer
from gyre_evaluation.domain.replays import Outcome, Replay, ReplayState
from gyre_evaluation.domain.runs import Item, Produced, Run, Target
from gyre_evaluation.domain.windows import GroupKind, Moments, Traits, WindowKey


class ScoringUnavailable(Exception):
    """A metric's worker, the embedding service or a judge does not answer now; try again later."""


class ScoringFailed(Exception):
    """Scoring broke on this very answer; a repetition may help, and may not."""


class NotDelivered(Exception):
    """The receiver of alarms did not take one; try again later."""


class Stage(StrEnum):
    """What a live answer waits for."""

    RULES = "rules"
    JUDGES = "judges"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A live answer that is still to be scored; attempts: that failed."""

    answer: LiveAnswer
    stage: Stage
    attempts: int


@dataclass(frozen=True, slots=True)
class Measured:
    """scores: one for each metric, those that failed included. language: ISO 639-1, empty where it
    could not be told."""

    scores: tuple[Score, ...]
    language: str = ""


class LiveScorer(Protocol):
    """Scores one recorded answer, without references. May be repeated."""

    async def score(self, answer: LiveAnswer) -> Measured:
        """Raises `ScoringUnavailable` and `ScoringFailed`; a metric that fails is such a score."""


class QuestionVectors(Protocol):
    """Meaning of questions."""

    async def vectors(self, tenant: str, texts: Sequence[str]) -> list[bytes]:
        """Unit vectors, little-endian float32, in order. Raises `ScoringUnavailable`."""


class DriftTests(Protocol):
    """Statistics of two samples, computed outside of this process."""

    async def compare(
        self, reference: Sequence[Observation], current: Sequence[Observation]
    ) -> list[Finding]:
        """Every test that has enough values, p-values uncorrected. Raises `ScoringFailed`."""


class AlarmReceiver(Protocol):
    """Where people are called, e.g. a pager."""

    async def deliver(self, delivery_id: str, alert: Alert) -> None:
        """Returns when it was taken; may be repeated under the same id. Raises `NotDelivered`."""


@dataclass(frozen=True, slots=True)
class JudgementPlace:
    """Where a judgement is kept: the answer that it is of, and what that is grouped by."""

    tenant: str
    feedback_id: str
    metric: str
    answer_id: str
    time: datetime
    traits: Traits


class LiveRecord(Protocol):
    """One write transaction; within a handler it also marks the event as applied."""

    async def count(self, asked: Asked, rules: AbuseRules) -> Activity:
        """Counts a request and says what its principal did lately."""

    async def raise_alert(self, alert: Alert, cool_down: timedelta) -> bool:
        """Keeps and says it; False where its cause is quiet, then it counts as a repetition."""

    async def newly(self, tenant: str, cause: str, time: datetime, cool_down: timedelta) -> bool:
        """Notes a cause without an alert of its own; False where it is quiet."""

    async def await_scores(self, tenant: str, record: bytes, status: str) -> None:
        """Remembers a recorded answer until it is scored. status: empty, or why it failed."""

    async def await_judges(self, waiting: Waiting, budget: int) -> bool:
        """The answer waits on, for judges; False where today's budget is used up."""

    async def take(self, waiting: Waiting) -> bool:
        """Ends the wait; False where another process was first."""

    async def score(
        self, answer: LiveAnswer, traits: Traits, scores: Sequence[Score], window: timedelta
    ) -> bool:
        """Adds to the windows; a score that is known changes nothing. False where all were."""

    async def observe(self, traffic: Traffic, source_id: str, observation: Observation) -> None:
        """The next of its traffic; a source that is known changes nothing."""

    async def judge(self, place: JudgementPlace, now: Judgement, window: timedelta) -> None:
        """Moves the windows from what counted to what counts."""

    async def judgement(self, place: JudgementPlace) -> Judgement:
        """As it is kept; empty where nothing is."""

    async def checked(self, of: Progress, plan: Plan, check: Check) -> bool:
        """Keeps a window's check, forgets its observations; False where it was checked before."""

    async def disparity_checked(self, tenant: str, start: datetime) -> bool:
        """Notes that a period was compared; False where it was before."""

    def say_evaluated(
        self, answer: LiveAnswer, measured: Measured, share: float, time: datetime
    ) -> None:
        """`AnswerEvaluated`, when the transaction commits."""

    def say_drifted(
        self, of: Progress, plan: Plan, check: Check, findings: Sequence[Finding]
    ) -> None:
        """`DriftDetected`, when the transaction commits."""


class LiveStore(Protocol):
    """What the service remembers of live answers; durable, shared by its processes."""

    def writing(self) -> AbstractAsyncContextManager[LiveRecord]:
        """A short block: do slow work before it. Ends with one commit, or none where it raises."""

    async def claim(self, now: datetime, limit: int, lease: timedelta) -> list[Waiting]:
        """Longest due first; no other process gets them before the lease is over."""

    async def waiting(self) -> int:
        """How many answers wait to be scored."""

    async def postpone(self, waiting: Waiting, until: datetime) -> None:
        """One more attempt failed."""

    async def place_of(self, tenant: str, feedback_id: str, metric: str) -> JudgementPlace | None:
        """Of a judgement that is kept."""

    async def progress(self, tenant: str | None, scope: str = "") -> list[Progress]:
        """Of all tenants where tenant is None; ordered by scope."""

    async def sample(self, of: Progress, numbers: range) -> list[Observation]:
        """In order, with the scores that are known by now."""

    async def checks(self, of: Progress, limit: int) -> list[Check]:
        """Of the reference in force, newest first."""

    async def reset(self, traffic: Traffic) -> bool:
        """What comes from now on is its reference; False where there is no such traffic."""

    async def windows(
        self,
        tenant: str,
        period: tuple[datetime, datetime],
        kind: GroupKind,
        cut: str = "",
        metrics: Sequence[str] = (),
    ) -> list[tuple[WindowKey, Moments]]:
        """Windows that begin within the period. cut: key of a slice; empty means any."""

    async def tenants(self, since: datetime) -> list[str]:
        """Tenants that have windows from then on."""

    async def alerts(
        self, tenant: str, limit: int, *, before: tuple[float, str] | None, open_only: bool
    ) -> list[KnownAlert]:
        """Newest first; before: time and id of the last one of the page before."""

    async def acknowledge(
        self, tenant: str, alert_id: str, by: Acknowledgement
    ) -> KnownAlert | None:
        """The first one stays and is said; None where there is no such alert."""

    async def forget(self, now: datetime, keep: timedelta) -> None:
        """Drops what is older: alerts after 400 days, counters of requests after two."""


# -- datasets and runs ---------------------------------------------------------------------------


class TargetUnavailable(Exception):
    """What is evaluated does not answer now, or is full; the same call may succeed later.

    retry_after: seconds that it asked for; 0 where it said nothing.
    """

    def __init__(self, detail: str, retry_after: float = 0.0) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class TargetRefused(Exception):
    """What is evaluated will not answer this; a repetition changes nothing."""


class Datasets(Protocol):
    """Versions and their examples, by tenant."""

    async def open(
        self, tenant: str, name: str, *, description: str, author: str, creation_key: str
    ) -> DatasetVersion:
        """The next version; with a creation key that is known, the version that it made."""

    async def add(self, version: DatasetVersion, examples: Sequence[Example]) -> int:
        """How many were not there before. Raises `DatasetSealed`."""

    async def seal(self, version: DatasetVersion, sealing: Sealing) -> DatasetVersion:
        """As it is from now on; sealing it again changes nothing."""

    async def get(self, tenant: str, name: str, version: int) -> DatasetVersion:
        """0: the newest that is sealed, or else the newest. Raises `DatasetUnknown`."""

    async def page(
        self, tenant: str, name: str, *, limit: int, after: tuple[str, int] | None
    ) -> list[DatasetVersion]:
        """By name, newest version first. name: empty means all. after: the last one seen."""

    async def examples(
        self, version: DatasetVersion, *, split: str = "", limit: int = 0, after: str = ""
    ) -> list[Example]:
        """In the order of their ids, each with its split. limit: 0 is all."""


class Runs(Protocol):
    """Runs and what they did, by tenant. A run is worked on by one owner, for as long as it renews
    its lease; whoever claims it later goes on after what is recorded."""

    async def start(self, run: Run, creation_key: str) -> Run:
        """As it is kept; with a creation key that is known, the run that it started."""

    async def get(self, tenant: str, run_id: str) -> Run:
        """Raises `RunUnknown`."""

    async def page(self, tenant: str, dataset: str, *, limit: int, before: str) -> list[Run]:
        """Newest first; before: id of the last one seen."""

    async def cancel(self, tenant: str, run_id: str) -> Run:
        """As it is from now on; one that ended stays as it is. Raises `RunUnknown`."""

    async def claim(self, owner: str, lease: float) -> Run | None:
        """The oldest run that waits or whose owner is gone. lease: seconds."""

    async def renew(self, run_id: str, owner: str, lease: float) -> bool:
        """False where the run was cancelled or is another's now."""

    async def begin(self, run_id: str, target: Target, metrics: Sequence[str], count: int) -> None:
        """Fixes what the target left open; a run that goes on keeps what it began with."""

    async def record(self, run_id: str, item: Item, key: str) -> None:
        """An example is done; again it changes nothing. key: of the cache, empty keeps it out."""

    async def items(self, run_id: str) -> list[Item]:
        """In the order of their example ids."""

    async def item(self, run_id: str, example_id: str) -> Item | None:
        """None where the run has not done it."""

    async def cached(self, tenant: str, key: str) -> Produced | None: ...

    async def finish(self, run: Run, differences: Sequence[Difference]) -> None:
        """Keeps the end and says it, in one commit; a run that ended stays as it is."""


@dataclass(frozen=True, slots=True)
class Again:
    """A recorded answer that is given again, as a part of a replay."""

    question: str
    original: Original
    replay_id: str


class Targets(Protocol):
    """What is evaluated, asked for a tenant with the tenant's own key."""

    async def resolve(self, tenant: str, target: Target) -> Target:
        """Labels and what is in force as versions. Raises the errors below."""

    async def passages(self, tenant: str, target: Target, question: str) -> tuple[Evidence, ...]:
        """What a search finds, best first; () where the target searches nothing."""

    async def answer(
        self, tenant: str, target: Target, question: str, *, request_id: str
    ) -> Produced:
        """Raises `TargetUnavailable`, `TargetRefused`, `NotPossible`."""

    async def replay(self, tenant: str, target: Target, again: Again) -> Produced:
        """Kind REPLAY: from the original's template arguments, or its messages; REPLAY_SEARCHED:
        after a search. Its passages are what the model was given. Raises as `answer` does."""


class Scoring(Protocol):
    """Every metric of the catalogue, and of the judges that are set up."""

    def metrics(self) -> Sequence[Metric]: ...

    async def score(
        self, tenant: str, metrics: Sequence[str], cases: Sequence[Case]
    ) -> list[dict[str, Score]]:
        """For each case its scores; a metric that does not apply is absent, one that failed says
        why. Raises `ScoringUnavailable`."""

    async def prefer(self, case: Case, other: str) -> Score:
        """Judges compare the case's answer with another one, in both orders."""

    async def score_run(self, metrics: Sequence[str], cases: Sequence[Case]) -> dict[str, float]:
        """Metrics of all answers together. Raises `ScoringUnavailable`."""


class Statistics(Protocol):
    """Intervals by bootstrap, seeded: the same values give the same interval. All raise
    `ScoringUnavailable`."""

    async def means(self, values: Mapping[str, Sequence[float]]) -> dict[str, Interval]:
        """95 % intervals of means; without an entry where there are under two values."""

    async def differences(
        self, pairs: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    ) -> dict[str, Interval]:
        """95 % intervals of the mean of second minus first, pair by pair."""

    async def agreements(
        self, pairs: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    ) -> dict[str, Agreement]:
        """Rank correlations of first and second; without an entry where nothing varies."""


class ReportPages(Protocol):
    """A report as one page that needs nothing else."""

    async def page(self, report: Mapping[str, Any]) -> bytes: ...


class Tracker(Protocol):
    """A book of experiments."""

    async def track(self, report: Mapping[str, Any], page: bytes) -> None:
        """Notes a run that ended; again it changes nothing. Failing is no failure of the run."""


class Replays(Protocol):
    """Replays by tenant; their runs hold what was answered."""

    async def start(self, replay: Replay, creation_key: str) -> Replay:
        """As it is kept; with a creation key that is known, the replay that it started."""

    async def get(self, tenant: str, replay_id: str) -> Replay:
        """Raises `ReplayUnknown`."""

    async def page(self, tenant: str, *, limit: int, before: str) -> list[Replay]:
        """Newest first; before: id of the last one seen."""

    async def open(self) -> list[Replay]:
        """Those of all tenants that have not ended, oldest first."""

    async def keep(self, replay: Replay) -> bool:
        """How far it is; False where it ended meanwhile, then it stays as it is."""

    async def finish(self, replay: Replay, state: ReplayState, outcome: Outcome | None) -> bool:
        """Ends it, once; False where it ended before."""


class Gates(Protocol):
    """Policies and gates by tenant."""

    async def declare(self, declared: Declared) -> tuple[Declared, bool]:
        """The next version, and that it is new; or the newest one where it says the same."""

    async def declared(self, tenant: str, workload: str, version: int) -> Declared:
        """0: the newest. Raises `PolicyUnknown`."""

    async def start(self, gate: Gate, creation_key: str) -> Gate:
        """As it is kept; with a creation key that is known, the gate that it started."""

    async def get(self, tenant: str, gate_id: str) -> Gate:
        """Raises `GateUnknown`."""

    async def page(self, tenant: str, workload: str, *, limit: int, before: str) -> list[Gate]:
        """Newest first; before: id of the last one seen. workload: empty means all."""

    async def open(self) -> list[Gate]:
        """Those of all tenants that run, oldest first."""

    async def keep(self, gate: Gate) -> bool:
        """Its parts; False where it ended meanwhile, then it stays as it is."""

    async def decide(self, gate: Gate) -> bool:
        """Keeps the verdict with its checks and says it, in one commit; False where it ended
        before."""

    async def cancel(self, tenant: str, gate_id: str) -> bool:
        """False where it ended before. What waits for it is told, in the same commit."""

    async def made_by(self, tenant: str, creation_key: str) -> Gate | None:
        """The gate that a creation key started."""

    async def refuse(self, awaited: Awaited, reason: str) -> None:
        """Says that there is no gate, which is no pass; again it is not said again."""

    async def approve(self, gate: Gate, approval: Approval) -> Gate:
        """Adds a person's word and says it, in one commit."""


class RecordedAnswers(Protocol):
    """Answers that people were given, kept for a time to become examples."""

    async def keep(self, tenant: str, answer: RecordedAnswer, end_user: str) -> bool:
        """Again it changes nothing. end_user: to whom it was given. False, and nothing is kept,
        where that person was to be forgotten since."""

    async def note(self, tenant: str, answer_id: str, end_user: str, time: datetime) -> bool:
        """As `keep`, for a request that got no answer: only to whom it belongs."""

    async def find(self, tenant: str, wanted: AnswerFilter) -> list[RecordedAnswer]:
        """Newest first."""


class Reviews(Protocol):
    """What reviewers said of answers."""

    async def examples(self, tenant: str, since: datetime | None, limit: int) -> list[Example]:
        """A review's correction is the reference. Raises `TargetUnavailable`, `NotPossible`."""
