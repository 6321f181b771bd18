"""Which answers people look at again, and what they are asked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gyre_feedback.domain.answers import JudgedAnswer
from gyre_feedback.domain.errors import Invalid


class ReviewReason(StrEnum):
    """Why an answer is in the queue."""

    ASKED = "asked"
    LOW_SCORE = "low_score"
    DISAGREEMENT = "disagreement"
    LOW_CONFIDENCE = "low_confidence"
    SAMPLE = "sample"
    IMPORTED = "imported"


PRIORITY = {
    ReviewReason.ASKED: 5.0,
    ReviewReason.DISAGREEMENT: 4.0,
    ReviewReason.LOW_SCORE: 3.0,
    ReviewReason.LOW_CONFIDENCE: 2.0,
    ReviewReason.SAMPLE: 1.0,
    ReviewReason.IMPORTED: 0.0,
}


@dataclass(frozen=True)
class Question:
    """One question of the rubric; choices from worst to best."""

    name: str
    text: str
    choices: tuple[str, ...]


RUBRIC = (
    Question("correct", "Is the answer right?", ("wrong", "partly", "right")),
    Question("grounded", "Do the cited passages say it?", ("no", "partly", "yes")),
    Question("helpful", "Does it help who asked?", ("no", "partly", "yes")),
)


@dataclass(frozen=True)
class QueueRules:
    """low_score: goodness at or under which an answer is reviewed. disagreement: distance between
    two judgements. low_confidence: distance from 0.5 under which a judge was not sure. sample:
    share of all answers. wanted: reviews an item. claim: seconds a reviewer holds an item."""

    low_score: float = 0.25
    disagreement: float = 0.5
    low_confidence: float = 0.1
    sample: float = 0.01
    wanted: int = 2
    claim: float = 900.0

    def draws(self, tenant: str, answer_id: str) -> bool:
        """The same answer is always drawn, or never."""
        digest = hashlib.sha256(f"{tenant}\n{answer_id}".encode()).digest()
        return int.from_bytes(digest[:8], "big") < self.sample * 2**64

    def of_spread(self, worst: float, best: float) -> ReviewReason | None:
        """For all judgements of one answer by one metric."""
        if best - worst > self.disagreement:
            return ReviewReason.DISAGREEMENT
        return ReviewReason.LOW_SCORE if worst <= self.low_score else None

    def of_score(self, score: float, *, judged: bool) -> ReviewReason | None:
        """For an automatic metric's score; `judged`: by a model, which may be unsure."""
        if score <= self.low_score:
            return ReviewReason.LOW_SCORE
        if judged and abs(score - 0.5) < self.low_confidence:
            return ReviewReason.LOW_CONFIDENCE
        return None


@dataclass(frozen=True)
class Item:
    """An answer to be reviewed."""

    item_id: str
    answer_id: str
    reasons: tuple[ReviewReason, ...]
    question: str
    text: str
    about: JudgedAnswer
    wanted: int
    review_count: int
    add_time: datetime
    priority: float


@dataclass(frozen=True)
class Review:
    """One reviewer's word on an item; labels: question -> choice."""

    item_id: str
    reviewer: str
    declined: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    correction: str = ""
    comment: str = ""
    complete_time: datetime | None = None

    def check(self) -> None:
        """Raises `Invalid`."""
        wrong: dict[str, str] = {}
        known = {question.name: question.choices for question in RUBRIC}
        for name, choice in self.labels.items():
            if choice not in known.get(name, ()):
                wrong["labels"] = f"'{name}' must be a question of the rubric and its choice"
        if self.declined and self.labels:
            wrong["labels"] = "must be empty where the review is declined"
        if not self.declined and not self.labels:
            wrong["labels"] = "must answer one question at least, or decline"
        if max(len(self.correction), len(self.comment)) > 16_384:
            wrong["correction"] = "and comment are at most 16,384 characters"
        if wrong:
            raise Invalid(wrong)


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha of one question."""

    question: str
    alpha: float
    items: int
    reviewers: int


def ratings(reviews: Sequence[Review], question: Question) -> tuple[list[list[float | None]], int]:
    """Reviewers by items, choices as ranks, None where one said nothing; and how many items have
    two ranks or more."""
    said = [one for one in reviews if question.name in one.labels]
    items = sorted({one.item_id for one in said})
    places = {(one.reviewer, one.item_id): one.labels[question.name] for one in said}
    ranks = {choice: float(rank) for rank, choice in enumerate(question.choices)}
    table: list[list[float | None]] = [
        [ranks.get(places.get((reviewer, item), "")) for item in items]
        for reviewer in sorted({one.reviewer for one in said})
    ]
    shared = sum(len([row for row in table if row[at] is not None]) > 1 for at in range(len(items)))
    return table, shared
