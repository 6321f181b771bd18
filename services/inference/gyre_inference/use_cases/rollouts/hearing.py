"""Judgements of others that say something about a rollout's arms, or an experiment's variants."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from gyre_inference.domain.rollouts import PREFIX, Doubt, Observation
from gyre_inference.ports import Experiments, Rollouts


class HearJudgements:
    """Only of answers that a rollout or an experiment shaped, and only while they count: see
    `Rollouts.observe`, `Experiments.observe`."""

    def __init__(self, rollouts: Rollouts, experiments: Experiments) -> None:
        self._rollouts = rollouts
        self._experiments = experiments

    async def feedback(
        self, tenant: str, answer: Mapping[str, str], metric: str, value: float
    ) -> None:
        """A person's judgement; answer: `experiment`, `variant`, `answer_id`, `end_user`, and the
        judgement's `feedback_id`. A person counts once for a metric and a step: whoever judges
        often is one voice."""
        unit = _told_apart(answer["experiment"], answer["end_user"]) or answer["answer_id"]
        await self._observe(tenant, answer, {f"feedback.{metric}": value}, unit)

    async def doubted(self, tenant: str, doubt: Doubt) -> None:
        """A judgement was taken back, is suspicious, or was decided about."""
        await self._rollouts.doubt(tenant, doubt)

    async def evaluated(
        self, tenant: str, answer: Mapping[str, str], scores: Mapping[str, float]
    ) -> None:
        """Scores of one answer by metric."""
        named = {f"evaluation.{metric}": score for metric, score in scores.items()}
        await self._observe(tenant, answer, named, answer["answer_id"])

    async def _observe(
        self, tenant: str, answer: Mapping[str, str], scores: Mapping[str, float], unit: str
    ) -> None:
        experiment, arm = answer["experiment"], answer["variant"]
        source = answer.get("feedback_id", "")
        if not experiment or not scores:
            return
        counting = self._rollouts if experiment.startswith(PREFIX) else self._experiments
        await counting.observe(
            [
                Observation(tenant, experiment, arm, metric, unit, value, source)
                for metric, value in scores.items()
            ]
        )


def _told_apart(rollout_id: str, person: str) -> str:
    """Tells people apart and names none of them, also where a person is to be forgotten."""
    if not person:
        return ""
    return hashlib.sha256(f"{rollout_id}\n{person}".encode()).hexdigest()[:32]
