"""A judgement: who thought what of which answer, or of which part of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gyre_feedback.domain.answers import JudgedAnswer
from gyre_feedback.domain.errors import Refused
from gyre_feedback.domain.metrics import RESERVED, Level, Metric, Value

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
WORD_LIMIT = 128
RATIONALE_LIMIT = 4096
LABEL_LIMIT = 16
LABEL_LENGTH = 256


class SourceKind(StrEnum):
    """Who judged."""

    PERSON = "person"
    MODEL = "model"
    CODE = "code"


class State(StrEnum):
    """How far a judgement has come; the contract says what each means."""

    WAITING = "waiting"
    RECORDED = "recorded"
    WITHDRAWN = "withdrawn"
    QUARANTINED = "quarantined"
    DROPPED = "dropped"
    EXPIRED = "expired"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Target:
    """What is judged."""

    answer_id: str = ""
    chain_run_id: str = ""
    step_id: str = ""
    chunk_id: str = ""

    @property
    def place(self) -> str:
        """Where the judgement waits for its answer."""
        return self.answer_id or self.chain_run_id


@dataclass(frozen=True)
class Source:
    """Who judged, as the caller says."""

    kind: SourceKind = SourceKind.PERSON
    rater: str = ""
    version: str = ""


@dataclass(frozen=True)
class Judgement:
    """One revision of a judgement. value: None where it is a withdrawal."""

    feedback_id: str
    revision: int
    target: Target
    metric: str
    value: Value | None
    source: Source = field(default_factory=Source)
    rationale: str = ""
    give_time: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def withdrawn(self) -> bool:
        return self.value is None

    @property
    def fingerprint(self) -> str:
        """Equal for a retry, different for an edit; when it was given does not count."""
        said = (self.metric, self.target, self.value, self.source, self.rationale)
        labels = sorted(self.metadata.items())
        return hashlib.sha256(repr((said, labels)).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Kept:
    """A judgement as it is kept. account: whose vote it is."""

    tenant: str
    principal: str
    judgement: Judgement
    state: State
    receive_time: datetime
    answer: JudgedAnswer | None = None
    reason: str = ""
    detail: str = ""


def account_of(principal: str, source: Source) -> str:
    """Whose vote a judgement is: the caller's, or that of one of its raters."""
    return f"{principal}/{source.rater}" if source.rater else principal


def check(judgement: Judgement, metric: Metric | None) -> None:
    """Raises `Refused`; what the answer itself must say is looked at when it is known."""
    if metric is None:
        name = judgement.metric[:64]
        detail = f"metric '{name}' is not declared: call DeclareMetric first"
        raise Refused("unknown_metric", detail, {"metric": detail})
    wrong = {name: text for name, text in _problems(judgement, metric).items() if text}
    if wrong:
        detail = "; ".join(f"{name} {text}" for name, text in wrong.items())
        raise Refused("invalid", detail, wrong)


def check_part(judgement: Judgement, answer: JudgedAnswer) -> None:
    """Raises `Refused` where the answer has no such part."""
    target = judgement.target
    if target.chunk_id and target.chunk_id not in answer.chunk_ids:
        raise Refused("unknown_part", "the passage was not retrieved for this answer")
    if target.step_id and answer.step_ids and target.step_id not in answer.step_ids:
        raise Refused("unknown_part", "the chain run has no such step")


def _problems(judgement: Judgement, metric: Metric) -> Mapping[str, str]:
    value = judgement.value
    return {
        "feedback_id": "" if ID.fullmatch(judgement.feedback_id) else f"must be {ID.pattern}",
        "revision": "" if judgement.revision >= 1 else "must be 1 or more",
        "target": _target_problem(judgement.target, metric),
        "value": "" if value is None else metric.problem(value),
        "rationale": _too_long(judgement.rationale, RATIONALE_LIMIT),
        "source": _word_problem((judgement.source.rater, judgement.source.version)),
        "metadata": _label_problem(judgement.metadata),
    }


def _target_problem(target: Target, metric: Metric) -> str:
    if not target.place:
        return "must name an answer or a chain run"
    words = (target.answer_id, target.chain_run_id, target.step_id, target.chunk_id)
    if problem := _word_problem(words):
        return problem
    if metric.name in RESERVED:
        return ""
    parts = {Level.STEP: target.step_id, Level.CHUNK: target.chunk_id}
    for level, part in parts.items():
        if (metric.level is level) != bool(part):
            return f"must name a {level}" if metric.level is level else f"must name no {level}"
    return ""


def _word_problem(words: Sequence[str]) -> str:
    """Databases refuse some control characters, and people cannot read the others."""
    if any(len(word) > WORD_LIMIT for word in words):
        return f"has more than {WORD_LIMIT} characters"
    return "" if all(word.isprintable() for word in words) else "has unprintable characters"


def _label_problem(metadata: Mapping[str, str]) -> str:
    if len(metadata) > LABEL_LIMIT:
        return f"has more than {LABEL_LIMIT} labels"
    longest = max((len(text) for pair in metadata.items() for text in pair), default=0)
    return "" if longest <= LABEL_LENGTH else f"has a label over {LABEL_LENGTH} characters"


def _too_long(text: str, limit: int) -> str:
    return "" if len(text) <= limit else f"is over {limit} characters"
