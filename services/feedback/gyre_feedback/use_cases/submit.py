"""Somebody judges; the judgement is kept, and joined when its answer is there."""

from __future__ import annotations

import uuid
from dataclasses import replace

from gyre_feedback.domain.answers import AnswerCame
from gyre_feedback.domain.errors import Missing, Refused
from gyre_feedback.domain.judgements import Judgement, Kept, check
from gyre_feedback.domain.metrics import RESERVED, Level, Metric
from gyre_feedback.domain.reviews import QueueRules
from gyre_feedback.ports import Judgements, Metrics, Submitted

ATTEMPTS_EXHAUSTED = "attempts_exhausted"


class SubmitFeedback:
    """One judgement at a time; the order in which it and its answer come does not matter."""

    def __init__(self, metrics: Metrics, judgements: Judgements) -> None:
        self._metrics, self._judgements = metrics, judgements

    async def submit(
        self, tenant: str, principal: str, judgement: Judgement, *, vouched: bool = False
    ) -> Kept:
        """Raises `Refused`. A judgement without an id gets one."""
        if not judgement.feedback_id:
            judgement = replace(judgement, feedback_id=str(uuid.uuid4()))
        metric = await self._metrics.get(tenant, judgement.metric)
        check(judgement, metric)
        assert metric is not None
        return await self._judgements.keep(
            Submitted(
                tenant,
                principal,
                judgement,
                _level(metric, judgement),
                None if judgement.value is None else metric.goodness(judgement.value),
                vouched and not judgement.source.rater,
            )
        )

    async def withdraw(self, tenant: str, principal: str, feedback_id: str) -> Kept:
        """Raises `Missing`."""
        known = await self._judgements.get((tenant, principal, feedback_id))
        if known is None:
            raise Missing(f"{principal} gave no feedback '{feedback_id}'")
        if known.judgement.withdrawn:
            return known
        revision = known.judgement.revision + 1
        gone = replace(known.judgement, revision=revision, value=None, rationale="")
        return await self.submit(tenant, principal, gone)

    async def reject(
        self, tenant: str, principal: str, judgement: Judgement, cause: str, detail: str
    ) -> None:
        """Says why a judgement that came by the bus will not be recorded. May be repeated."""
        reason = ATTEMPTS_EXHAUSTED
        try:
            check(judgement, await self._metrics.get(tenant, judgement.metric))
        except Refused as refused:
            reason, detail = refused.reason, refused.detail
        await self._judgements.reject(tenant, principal, judgement, reason, detail, cause)


class MeetAnswers:
    """An answer came; what waits for it is joined, and by chance it is reviewed."""

    def __init__(self, judgements: Judgements, rules: QueueRules) -> None:
        self._judgements, self._rules = judgements, rules

    async def meet(self, tenant: str, came: AnswerCame) -> int:
        """How many judgements had waited."""
        drawn = not came.answer.failed and self._rules.draws(tenant, came.answer.answer_id)
        return await self._judgements.answer_came(tenant, came, sample=drawn)


def _level(metric: Metric, judgement: Judgement) -> Level:
    """Reserved metrics judge whatever they name."""
    if metric.name not in RESERVED:
        return metric.level
    if judgement.target.chunk_id:
        return Level.CHUNK
    return Level.STEP if judgement.target.step_id else Level.ANSWER
