"""Live answers come in: whoever misuses the assistant is noticed, a sample waits to be scored."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from gyre_evaluation.domain.abuse.leaks import leaks
from gyre_evaluation.domain.abuse.scoring import Aim, Attempt, attempt_in
from gyre_evaluation.domain.abuse.signs import signs_in
from gyre_evaluation.domain.abuse.watching import AbuseRules, Asked, alerts
from gyre_evaluation.domain.drift.traffic import Plan
from gyre_evaluation.domain.live import LiveAnswer, sampled
from gyre_evaluation.ports import LiveStore


@dataclass(frozen=True, slots=True)
class LivePolicy:
    """share: of live answers that are scored. slice_keys: labels of clients that scores are cut by.
    window: time over which scores are summed. judge_budget: judgements by models a day and tenant.
    cool_down: how long a cause that is no abuse is said no more."""

    share: float = 0.25
    slice_keys: frozenset[str] = frozenset({"segment", "product"})
    window: timedelta = timedelta(hours=1)
    judge_budget: int = 0
    cool_down: timedelta = timedelta(days=1)
    plan: Plan = field(default_factory=Plan)
    abuse: AbuseRules = field(default_factory=AbuseRules)


class HearAnswers:
    """Every answer is looked at; one transaction for each, so a redelivered one counts once."""

    def __init__(self, store: LiveStore, policy: LivePolicy) -> None:
        self._store = store
        self._policy = policy

    async def __call__(self, answer: LiveAnswer, record: bytes, status: str) -> int:
        """record: as it was said. status: empty, or why it failed. Returns the alerts raised."""
        asked = _asked(answer)
        raised = 0
        rules = self._policy.abuse
        async with self._store.writing() as page:
            activity = await page.count(asked, rules)
            for alert in alerts(asked, activity, rules):
                raised += await page.raise_alert(alert, rules.hold)
            if sampled(answer.answer_id, self._policy.share):
                await page.await_scores(answer.tenant, record, status)
        return raised


def _asked(answer: LiveAnswer) -> Asked:
    attempt = attempt_in(answer.question)
    # Instructions may ask for phrases that every answer repeats, so the question must be odd, too.
    if signs_in(answer.question) and leaks(answer.instructions, answer.completion):
        attempt = Attempt(Aim.EXTRACTION, 1.0, ("leak",))
    return Asked(
        answer.answer_id,
        answer.tenant,
        answer.principal,
        answer.end_user,
        answer.time,
        attempt,
    )
