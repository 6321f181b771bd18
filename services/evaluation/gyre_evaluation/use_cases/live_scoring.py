"""Sampled answers are scored by rules, then by judges within their budget; all of it durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gyre_evaluation.domain.drift.traffic import Observation
from gyre_evaluation.domain.live import LiveAnswer, Outcome, facts, traits_of
from gyre_evaluation.domain.metrics.metric import Score
from gyre_evaluation.ports import (
    LiveScorer,
    LiveStore,
    Measured,
    QuestionVectors,
    ScoringFailed,
    ScoringUnavailable,
    Stage,
    Waiting,
)
from gyre_evaluation.use_cases.live import LivePolicy

AT_ONCE = 16
LEASE = timedelta(minutes=5)
"""A process that died holds answers no longer."""
LONGEST_PAUSE = 300.0
MOST_FAILURES = 6
"""Then the answer is scored without what breaks, and says so."""
_UNSCORED = (Outcome.FAILED, Outcome.LEFT)


class ScoreLiveAnswers:
    """Answers wait in the database; what cannot be scored now is tried again until it can be.

    judges: None where there are none.
    """

    def __init__(
        self,
        store: LiveStore,
        rules: LiveScorer,
        judges: LiveScorer | None,
        vectors: QuestionVectors,
        policy: LivePolicy,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._scorers = {Stage.RULES: rules, Stage.JUDGES: judges}
        self._vectors = vectors
        self._policy = policy
        self._clock = clock

    async def run(self, pause: float) -> None:
        """Until it is cancelled. pause: seconds between two looks while nothing waits."""
        while True:
            if not await self.step():
                await asyncio.sleep(pause)

    async def step(self) -> int:
        """Answers that were scored; those that could not be are postponed."""
        waiting = await self._store.claim(self._clock(), AT_ONCE, LEASE)
        return sum([await self._try(one) for one in waiting])

    async def _try(self, waiting: Waiting) -> bool:
        try:
            if waiting.stage is Stage.RULES:
                await self._score_by_rules(waiting)
            else:
                await self._score_by_judges(waiting)
        except (ScoringUnavailable, ScoringFailed):
            pause = min(LONGEST_PAUSE, 2.0**waiting.attempts)
            await self._store.postpone(waiting, self._clock() + timedelta(seconds=pause))
            return False
        return True

    async def _score_by_rules(self, waiting: Waiting) -> None:
        answer = waiting.answer
        measured = await self._measured(waiting)
        language = measured.language
        (vector,) = await self._vectors.vectors(answer.tenant, [answer.question])
        async with self._store.writing() as page:
            judges = self._scorers[Stage.JUDGES] is not None and answer.outcome not in _UNSCORED
            kept = judges and await page.await_judges(waiting, self._policy.judge_budget)
            if not kept and not await page.take(waiting):
                return
            traits = traits_of(answer, language, self._policy.slice_keys)
            scores = (_failure(answer), *measured.scores)
            if not await page.score(answer, traits, scores, self._policy.window):
                return  # it was scored before, and its observation may be forgotten since
            observation = _observation(answer, language, vector)
            await page.observe(answer.traffic, answer.answer_id, observation)
            if measured.scores:
                page.say_evaluated(answer, measured, self._policy.share, self._clock())

    async def _score_by_judges(self, waiting: Waiting) -> None:
        answer = waiting.answer
        measured = await self._measured(waiting)
        traits = traits_of(answer, measured.language, self._policy.slice_keys)
        async with self._store.writing() as page:
            if not await page.take(waiting):
                return
            if await page.score(answer, traits, measured.scores, self._policy.window):
                page.say_evaluated(answer, measured, self._policy.share, self._clock())

    async def _measured(self, waiting: Waiting) -> Measured:
        answer, scorer = waiting.answer, self._scorers[waiting.stage]
        if scorer is None or answer.outcome in _UNSCORED:
            return Measured((), answer.language)
        try:
            measured = await scorer.score(answer)
        except ScoringFailed as error:
            if waiting.attempts < MOST_FAILURES:
                raise
            failed = Score(str(waiting.stage), None, error=str(error))
            return Measured((failed,), answer.language)
        return replace(measured, language=answer.language or measured.language)


def _failure(answer: LiveAnswer) -> Score:
    """Every answer has it: its mean is the share of requests that failed."""
    return Score("failure", float(answer.outcome is Outcome.FAILED))


def _observation(answer: LiveAnswer, language: str, vector: bytes) -> Observation:
    words = {"outcome": str(answer.outcome)}
    if language:
        words["language"] = language
    return Observation(answer.answer_id, answer.time, vector, facts(answer), words)
