"""People look at answers again: what is chosen, who claims it, and whether they agree."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gyre_feedback.domain.errors import Missing
from gyre_feedback.domain.reviews import (
    RUBRIC,
    Agreement,
    Item,
    QueueRules,
    Review,
    ReviewReason,
    ratings,
)
from gyre_feedback.ports import Alpha, Clock, Reviews


@dataclass(frozen=True)
class AutomaticScore:
    """goodness: 0 to 1. judged: by a model, which may be unsure; confidence: among several."""

    metric: str
    goodness: float
    judged: bool
    confidence: float | None = None


@dataclass(frozen=True)
class ReviewsSummary:
    """Counts of items and reviews, and how well reviewers agree."""

    open_items: int
    done_items: int
    completed: int
    declined: int
    agreements: tuple[Agreement, ...]


class ReviewQueue:
    """The queue of one tenant at a time."""

    def __init__(self, reviews: Reviews, rules: QueueRules, clock: Clock, alpha: Alpha) -> None:
        self._reviews, self._rules, self._clock, self._alpha = reviews, rules, clock, alpha

    async def ask(self, tenant: str, answer_id: str) -> Item:
        """Somebody wants it reviewed. Raises `Missing`."""
        return await self._reviews.add(tenant, answer_id, ReviewReason.ASKED)

    async def consider(
        self, tenant: str, answer_id: str, scores: Sequence[AutomaticScore]
    ) -> ReviewReason | None:
        """After an automatic evaluation; the first rule that holds. Raises `Missing`."""
        reason = next(filter(None, map(self._reason, scores)), None)
        if reason is not None:
            await self._reviews.add(tenant, answer_id, reason)
        return reason

    async def claim(
        self, tenant: str, reviewer: str, reason: ReviewReason | None
    ) -> tuple[Item, float]:
        """The next item and until when it is the reviewer's. Raises `Missing`."""
        until = self._clock() + self._rules.claim
        item = await self._reviews.claim(tenant, reviewer, reason, until)
        if item is None:
            raise Missing("nothing waits for your review")
        return item, until

    async def complete(self, tenant: str, review: Review) -> Item:
        """Raises `Invalid` and `Missing`."""
        review.check()
        now = datetime.fromtimestamp(self._clock(), UTC)
        return await self._reviews.complete(tenant, replace(review, complete_time=now))

    async def summary(self, tenant: str) -> ReviewsSummary:
        """Agreement is computed from all reviews."""
        reviews = await self._reviews.reviews(tenant)
        waiting, done = await self._reviews.counts(tenant)
        completed = [one for one in reviews if not one.declined]
        return ReviewsSummary(
            waiting,
            done,
            len(completed),
            len(reviews) - len(completed),
            tuple(self._agreements(completed)),
        )

    def export(
        self, tenant: str, *, only_done: bool
    ) -> AsyncIterator[tuple[Item, Sequence[Review]]]:
        """Items with their reviews."""
        return self._reviews.all(tenant, only_done=only_done)

    async def bring(self, tenant: str, item: Item, reviews: Sequence[Review]) -> tuple[bool, int]:
        """An imported item: whether it was new, and how many of its reviews. Raises `Invalid`."""
        for review in reviews:
            review.check()
        return await self._reviews.bring(tenant, item, reviews)

    @property
    def wanted(self) -> int:
        return self._rules.wanted

    def _agreements(self, reviews: Sequence[Review]) -> list[Agreement]:
        found = []
        for question in RUBRIC:
            table, shared = ratings(reviews, question)
            if shared:
                alpha = self._alpha(table, question)
                found.append(Agreement(question.name, alpha, shared, len(table)))
        return found

    def _reason(self, score: AutomaticScore) -> ReviewReason | None:
        unsure = score.confidence is not None and score.confidence < 0.5
        found = self._rules.of_score(score.goodness, judged=score.judged)
        return found or (ReviewReason.LOW_CONFIDENCE if unsure else None)
