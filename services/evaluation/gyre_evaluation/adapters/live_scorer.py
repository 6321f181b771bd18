"""`LiveScorer` on what scores runs: metrics that need no reference."""

from __future__ import annotations

from collections.abc import Collection

from gyre_runtime.worker import JobFailed, Worker

from gyre_evaluation.domain.live import LiveAnswer, Outcome
from gyre_evaluation.domain.metrics.case import Case, Cited, Evidence
from gyre_evaluation.domain.metrics.metric import Metric, Need, Source
from gyre_evaluation.ports import Measured, Scoring, ScoringFailed

UNKNOWABLE = frozenset({Need.REFERENCES, Need.RELEVANT})
"""What no live answer has."""
NOT_LIVE = frozenset({"refusal_correctness"})
"""Nobody knows whether a live question could have been answered."""


class ScoringLiveAnswers:
    """By rules or by judges. tenants: those with a key; others have no embeddings, so none of the
    metrics that compare meaning."""

    def __init__(
        self, scoring: Scoring, source: Source, worker: Worker, tenants: Collection[str]
    ) -> None:
        self._scoring = scoring
        self._source = source
        self._worker = worker
        self._tenants = tenants

    async def score(self, answer: LiveAnswer) -> Measured:
        has_key = answer.tenant in self._tenants
        names = [one.name for one in self._scoring.metrics() if self._is_live(one, has_key)]
        (found,) = await self._scoring.score(answer.tenant, names, [_case(answer)])
        scores = sorted(found.values(), key=lambda one: one.metric)
        return Measured(tuple(scores), answer.language or await self._language(answer.question))

    def _is_live(self, metric: Metric, has_key: bool) -> bool:
        return (
            metric.source is self._source
            and metric.name not in NOT_LIVE
            and not metric.needs & UNKNOWABLE
            and (has_key or not metric.embeds)
        )

    async def _language(self, text: str) -> str:
        try:
            return str(await self._worker.ask("language", text))
        except JobFailed as error:
            raise ScoringFailed(str(error)) from error


def _case(answer: LiveAnswer) -> Case:
    return Case(
        question=answer.question,
        answer=answer.completion,
        passages=tuple(Evidence(text) for text in answer.passages),
        refused=True if answer.outcome is Outcome.REFUSED else None,
        citations=tuple(Cited(number, text) for number, text in answer.citations),
        language=answer.language,
    )
