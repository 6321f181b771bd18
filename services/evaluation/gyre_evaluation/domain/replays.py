"""Replays: recorded answers are given again by something else, and both are scored alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from gyre_evaluation.domain.comparison import Difference, Interval, Verdict
from gyre_evaluation.domain.errors import RequestInvalid
from gyre_evaluation.domain.examples import Example
from gyre_evaluation.domain.recorded import AnswerFilter, RecordedAnswer, example_of
from gyre_evaluation.domain.runs import Kind, Target

DATASET = "replays"
"""Each replay's answers are a version of it."""
MOST_ANSWERS = 20_000
ANSWER, CHAT = "answer", "generate"


class ReplayState(StrEnum):
    """How far a replay is."""

    PREPARING = "preparing"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self not in (ReplayState.PREPARING, ReplayState.RUNNING)


class LeftOut(StrEnum):
    """Why a chosen answer cannot be given again."""

    NO_ARGUMENTS = "no_arguments"
    NO_COLLECTION = "no_collection"
    CHAIN = "chain"
    DUPLICATE = "duplicate"
    NO_TEXT = "no_text"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What it came to. changed: texts that are others now."""

    differences: tuple[Difference, ...] = ()
    changed: int = 0
    gained: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Replay:
    """margin: a fall up to this is not worse. concurrency: 0 is the service's setting. done,
    failures: of its second run. left_out: chosen answers that cannot be given again."""

    replay_id: str
    tenant: str
    author: str
    target: Target
    wanted: AnswerFilter
    create_time: datetime
    metrics: tuple[str, ...] = ()
    margin: float = 0.0
    label: str = ""
    concurrency: int = 0
    ignore_cache: bool = False
    state: ReplayState = ReplayState.PREPARING
    detail: str = ""
    dataset_version: int = 0
    answers: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    recorded_run_id: str = ""
    replayed_run_id: str = ""
    done: int = 0
    failures: int = 0
    outcome: Outcome = Outcome()
    end_time: datetime | None = None

    def __post_init__(self) -> None:
        if not self.target.kind.replays:
            raise RequestInvalid({"target.kind": "a replay's is replay or replay_searched"})
        if not 1 <= self.wanted.limit <= MOST_ANSWERS:
            raise RequestInvalid({"recorded_answers.limit": f"give 1 to {MOST_ANSWERS}"})
        if self.margin < 0 or self.concurrency < 0:
            raise RequestInvalid({"margin": "give at least 0, also for concurrency"})

    @property
    def title(self) -> str:
        return self.label or self.target.title


def chosen(
    answers: Sequence[RecordedAnswer], target: Target
) -> tuple[list[Example], dict[str, int]]:
    """Examples that can be given again, each once, and how many answers cannot, by reason."""
    found: dict[str, Example] = {}
    left: Counter[str] = Counter()
    for answer in answers:
        why = _why_not(answer, target)
        example = None if why else _example(answer)
        if example is None:
            left[why or LeftOut.NO_TEXT] += 1
        elif example.example_id in found:
            left[LeftOut.DUPLICATE] += 1
        else:
            found[example.example_id] = example
    return list(found.values()), dict(left)


def _why_not(answer: RecordedAnswer, target: Target) -> LeftOut | None:
    if not answer.question.strip() or not answer.completion.strip():
        return LeftOut.NO_TEXT
    if target.kind is Kind.REPLAY_SEARCHED:
        if not (answer.collection or target.collection) or answer.workload == CHAT:
            return LeftOut.NO_COLLECTION
        return None if answer.workload in ("", ANSWER) else LeftOut.CHAIN
    original = answer.original
    if original.messages:  # plain chat: another prompt would change nothing
        return LeftOut.NO_ARGUMENTS if target.prompt_name else None
    return None if original.passages else LeftOut.NO_ARGUMENTS


def _example(answer: RecordedAnswer) -> Example | None:
    try:
        return example_of(answer)
    except RequestInvalid:  # longer than an example may be
        return None


def outcome_as_json(outcome: Outcome) -> dict[str, Any]:
    return asdict(outcome)


def outcome_from(given: Mapping[str, Any]) -> Outcome:
    """From its JSON; of nothing, nothing."""
    differences = tuple(_difference(one) for one in given.get("differences", ()))
    return Outcome(**{**given, "differences": differences})


def _difference(given: Mapping[str, Any]) -> Difference:
    interval = Interval(**given["interval"]) if given["interval"] else None
    return Difference(**{**given, "interval": interval, "verdict": Verdict(given["verdict"])})
