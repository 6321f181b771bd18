"""Every metric: rules in the worker's process, meaning by embeddings, judges where they are."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Protocol

from gyre_runtime.worker import JobFailed, Worker

from gyre_evaluation.adapters.judges import Judges
from gyre_evaluation.domain.metrics.case import Case
from gyre_evaluation.domain.metrics.catalogue import RULES
from gyre_evaluation.domain.metrics.grounding import texts_compared
from gyre_evaluation.domain.metrics.metric import Level, Metric, Need, Score
from gyre_evaluation.domain.rubrics import JUDGED, PREFERENCE, RUBRICS
from gyre_evaluation.ports import ScoringUnavailable


class SentenceVectors(Protocol):
    """Unit vectors by text. Raises `ScoringUnavailable`."""

    async def vectors(self, tenant: str, texts: set[str]) -> dict[str, bytes]: ...


class WorkerScoring:
    """`Scoring`."""

    def __init__(self, worker: Worker, vectors: SentenceVectors, judges: Judges) -> None:
        self._worker = worker
        self._vectors = vectors
        self._judges = judges

    def metrics(self) -> Sequence[Metric]:
        return (*RULES.values(), *(JUDGED.values() if self._judges else ()))

    async def score(
        self, tenant: str, metrics: Sequence[str], cases: Sequence[Case]
    ) -> list[dict[str, Score]]:
        rules = [name for name in metrics if name in RULES]
        judged = [name for name in metrics if name in RUBRICS]
        by_rule, by_judges = await asyncio.gather(
            self._by_rule(tenant, rules, cases),
            asyncio.gather(*(self._by_judges(judged, case) for case in cases)),
        )
        return [first | second for first, second in zip(by_rule, by_judges, strict=True)]

    async def prefer(self, case: Case, other: str) -> Score:
        return await self._judges.prefer(PREFERENCE, case, other)

    async def score_run(self, metrics: Sequence[str], cases: Sequence[Case]) -> dict[str, float]:
        wanted = [name for name in metrics if name in RULES and RULES[name].level is Level.RUN]
        if not wanted or not cases:
            return {}
        given = {"metrics": wanted, "cases": [as_json(one) for one in cases]}
        found: dict[str, float] = await self._ask("score_run", given)
        return found

    async def _by_rule(
        self, tenant: str, metrics: Sequence[str], cases: Sequence[Case]
    ) -> list[dict[str, Score]]:
        texts: set[str] = set()
        if any(RULES[name].embeds for name in metrics):
            texts = {text for case in cases for text in texts_compared(case)}
        vectors = await self._vectors.vectors(tenant, texts) if texts else {}
        given = {
            "metrics": metrics,
            "cases": [as_json(one) for one in cases],
            "vectors": {text: base64.b64encode(one).decode() for text, one in vectors.items()},
        }
        return [
            {
                name: Score(name, one.get("value"), error=one.get("error", ""))
                for name, one in found.items()
            }
            for found in await self._ask("score", given)
        ]

    async def _by_judges(self, metrics: Sequence[str], case: Case) -> dict[str, Score]:
        asked = [name for name in metrics if judgeable(name, case)]
        scores = await asyncio.gather(*(self._judges.score(RUBRICS[name], case) for name in asked))
        return dict(zip(asked, scores, strict=True))

    async def _ask(self, job: str, given: Any) -> Any:
        try:
            return await self._worker.ask(job, given)
        except JobFailed as error:
            raise ScoringUnavailable(str(error)) from error


def judgeable(name: str, case: Case) -> bool:
    """Whether the case has what the rubric needs."""
    needs = RUBRICS[name].needs
    return (Need.REFERENCES not in needs or bool(case.references)) and (
        Need.PASSAGES not in needs or bool(case.passages)
    )


def as_json(case: Case) -> dict[str, Any]:
    return {**asdict(case), "relevant_ids": sorted(case.relevant_ids)}
