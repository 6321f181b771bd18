"""What feedback gives back: plain frozen dataclasses, read from the wire's messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gyre.feedback.v1 import feedback_pb2 as pb
from gyre.feedback.v1 import service_pb2 as wire

Value = bool | float | str


@dataclass(frozen=True)
class Metric:
    """A declared metric. type: boolean, number, category or text. level: answer, chain, step or
    chunk. direction: more_is_better, less_is_better or none."""

    name: str
    type: str
    level: str = "answer"
    direction: str = "more_is_better"
    minimum: float = 0.0
    maximum: float = 0.0
    categories: tuple[str, ...] = ()
    description: str = ""

    @classmethod
    def read(cls, message: pb.Metric) -> Metric:
        """From the wire."""
        return cls(
            message.name,
            _plain(pb.MetricType.Name(message.type), "METRIC_TYPE_"),
            _plain(pb.FeedbackLevel.Name(message.level), "FEEDBACK_LEVEL_"),
            _plain(pb.MetricDirection.Name(message.direction), "METRIC_DIRECTION_"),
            message.minimum,
            message.maximum,
            tuple(message.categories),
            message.description,
        )

    def message(self) -> pb.Metric:
        """For the wire. Raises ValueError for a word that is none."""
        return pb.Metric(
            name=self.name,
            type=pb.MetricType.Value(f"METRIC_TYPE_{self.type.upper()}"),
            level=pb.FeedbackLevel.Value(f"FEEDBACK_LEVEL_{self.level.upper()}"),
            direction=pb.MetricDirection.Value(f"METRIC_DIRECTION_{self.direction.upper()}"),
            minimum=self.minimum,
            maximum=self.maximum,
            categories=self.categories,
            description=self.description,
        )


@dataclass(frozen=True)
class Feedback:
    """A judgement as it is kept. state: waiting, recorded, withdrawn, quarantined, dropped,
    expired or rejected. prompt: of its answer, `name/version`; empty while it waits."""

    feedback_id: str
    revision: int
    answer_id: str
    chunk_id: str
    metric: str
    value: Value | None
    state: str
    principal: str
    rater: str
    rationale: str
    receive_time: datetime
    prompt: str
    model: str
    reason: str
    detail: str

    @classmethod
    def read(cls, message: wire.KeptFeedback) -> Feedback:
        """From the wire."""
        given, answer = message.feedback, message.answer
        kind = given.value.WhichOneof("value")
        return cls(
            feedback_id=given.feedback_id,
            revision=given.revision,
            answer_id=given.target.answer_id or given.target.chain_run_id,
            chunk_id=given.target.chunk_id,
            metric=given.metric,
            value=None if kind is None else getattr(given.value, kind),
            state=_plain(pb.FeedbackState.Name(message.state), "FEEDBACK_STATE_"),
            principal=message.principal,
            rater=given.source.rater,
            rationale=given.rationale,
            receive_time=message.receive_time.ToDatetime(tzinfo=UTC).astimezone(),
            prompt=f"{answer.prompt_name}/{answer.prompt_version}" if answer.prompt_name else "",
            model=answer.model,
            reason=message.reason,
            detail=message.detail,
        )


@dataclass(frozen=True)
class Score:
    """0 to 1, more is better. score: protected, no account moves it by more than `cap`. mean: the
    plain one."""

    kind: str
    entity_id: str
    metric: str
    score: float
    mean: float
    judgements: int
    accounts: int
    young_accounts: int
    cap: float

    @classmethod
    def read(cls, message: wire.Score) -> Score:
        """From the wire."""
        return cls(
            _plain(wire.EntityKind.Name(message.kind), "ENTITY_KIND_"),
            message.entity_id,
            message.metric,
            message.score,
            message.mean,
            message.judgements,
            message.accounts,
            message.young_accounts,
            message.cap,
        )


@dataclass(frozen=True)
class Features:
    """Of one entity by one metric; empty where nothing was known."""

    entity_id: str
    metric: str
    values: Mapping[str, float]
    event_time: datetime | None


@dataclass(frozen=True)
class Question:
    """One question of a rubric; choices from worst to best."""

    name: str
    text: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class ReviewItem:
    """An answer to be reviewed."""

    item_id: str
    answer_id: str
    reasons: tuple[str, ...]
    question: str
    answer: str
    rubric: tuple[Question, ...]
    wanted_reviews: int
    review_count: int

    @classmethod
    def read(cls, message: wire.ReviewItem) -> ReviewItem:
        """From the wire."""
        names = map(wire.ReviewReason.Name, message.reasons)
        return cls(
            message.item_id,
            message.answer_id,
            tuple(_plain(name, "REVIEW_REASON_") for name in names),
            message.question,
            message.answer,
            tuple(_question(one) for one in json.loads(message.rubric or "[]")),
            message.wanted_reviews,
            message.review_count,
        )


@dataclass(frozen=True)
class ReviewSummary:
    """How far the queue is. agreement: question -> (Krippendorff's alpha, items, reviewers)."""

    open_items: int
    done_items: int
    reviews: int
    declined: int
    agreement: Mapping[str, tuple[float, int, int]]


def value_message(value: Value, *, category: bool = False) -> pb.FeedbackValue:
    """category: whether a text is one of a metric's categories."""
    if isinstance(value, bool):
        return pb.FeedbackValue(boolean=value)
    if isinstance(value, int | float):
        return pb.FeedbackValue(number=value)
    return pb.FeedbackValue(category=value) if category else pb.FeedbackValue(text=value)


def _question(given: Mapping[str, str | Sequence[str]]) -> Question:
    return Question(str(given["name"]), str(given["text"]), tuple(given["choices"]))


def _plain(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()
