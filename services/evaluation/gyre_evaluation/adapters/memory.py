"""Honest twins of the vendors: they refuse what the real things refuse."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from gyre_evaluation.adapters.metrics.scoring import case_from, score, score_run
from gyre_evaluation.adapters.scoring import as_json
from gyre_evaluation.domain.comparison import Agreement, Interval
from gyre_evaluation.domain.errors import NotPossible
from gyre_evaluation.domain.examples import Example
from gyre_evaluation.domain.metrics.case import Case, Evidence
from gyre_evaluation.domain.metrics.catalogue import RULES
from gyre_evaluation.domain.metrics.grounding import texts_compared
from gyre_evaluation.domain.metrics.metric import Metric, Score
from gyre_evaluation.domain.metrics.refusals import is_refusal
from gyre_evaluation.domain.rubrics import JUDGED
from gyre_evaluation.domain.runs import Kind, Produced, Target, found
from gyre_evaluation.ports import Again, TargetRefused, TargetUnavailable


@dataclass
class MemoryTargets:
    """Answers by question; an unknown question is refused like one that the service will not take.

    available: False is a service that is down. asked: every question that reached it. replayed:
    every recorded answer that was to be given again. indexes: passages by question, by index; ""
    is the one in use.
    """

    answers: Mapping[str, str]
    tenants: frozenset[str] = frozenset({"acme", "demo"})
    available: bool = True
    asked: list[str] = field(default_factory=list)
    replayed: list[Again] = field(default_factory=list)
    indexes: Mapping[str, Mapping[str, Sequence[Evidence]]] = field(default_factory=dict)

    async def resolve(self, tenant: str, target: Target) -> Target:
        self._refuse(tenant)
        if target.prompt_name and not target.prompt_version:
            return replace(target, prompt_version="1")
        return target

    async def passages(self, tenant: str, target: Target, question: str) -> tuple[Evidence, ...]:
        self._refuse(tenant)
        if target.kind is not Kind.ANSWER:
            return ()
        return (Evidence(self.answers.get(question, "Nothing."), "chunk", "document"),)

    async def answer(
        self, tenant: str, target: Target, question: str, *, request_id: str
    ) -> Produced:
        self._refuse(tenant)
        self.asked.append(question)
        if target.kind is Kind.SEARCH:
            if target.index not in self.indexes:
                raise TargetRefused(f"NOT_FOUND: no index {target.index!r} beside the one in use")
            passages = self.indexes[target.index].get(question, ())
            return found(passages[: target.top_k or 10], 0.01)
        if question not in self.answers:
            raise TargetRefused("INVALID_ARGUMENT: unknown question")
        text = self.answers[question]
        return Produced(
            text=text,
            answer_id=request_id,
            model=target.model or "memory",
            seconds=0.01 * len(text),
            first_text_seconds=0.01,
            input_tokens=len(question.split()),
            output_tokens=len(text.split()),
        )

    async def replay(self, tenant: str, target: Target, again: Again) -> Produced:
        """Arguments that no record holds are refused; a search finds the answer itself."""
        self.replayed.append(again)
        original = again.original
        if target.kind is Kind.REPLAY and not (original.passages or original.messages):
            raise TargetRefused("INVALID_ARGUMENT: `sentences` must be a list")
        produced = await self.answer(
            tenant, target, again.question, request_id=f"{again.replay_id}/{original.answer_id}"
        )
        refused = True if is_refusal(produced.text) else None
        found = original.passages
        if target.kind is Kind.REPLAY_SEARCHED:
            found = (Evidence(produced.text),)
        return replace(produced, passages=found, refused=refused)

    def _refuse(self, tenant: str) -> None:
        if tenant not in self.tenants:
            raise NotPossible("evaluation has no key of this tenant")
        if not self.available:
            raise TargetUnavailable("UNAVAILABLE: down")


class MemoryScoring:
    """The rules in this process; sentences are near each other where they share words."""

    def metrics(self) -> Sequence[Metric]:
        return (*RULES.values(), *JUDGED.values())

    async def score(
        self, tenant: str, metrics: Sequence[str], cases: Sequence[Case]
    ) -> list[dict[str, Score]]:
        texts = {text for case in cases for text in texts_compared(case)}
        given = {
            "metrics": [name for name in metrics if name in RULES],
            "cases": [as_json(one) for one in cases],
            "vectors": {text: bag_of_words(text) for text in texts},
        }
        return [
            {
                name: Score(name, one.get("value"), error=one.get("error", ""))
                for name, one in found.items()
            }
            for found in score(given)
        ]

    async def prefer(self, case: Case, other: str) -> Score:
        """The longer one, until there is a judge."""
        value = 0.5 if case.answer == other else float(len(case.answer) > len(other))
        return Score("judge_preference", value)

    async def score_run(self, metrics: Sequence[str], cases: Sequence[Case]) -> dict[str, float]:
        assert all(case_from(as_json(one)) == one for one in cases)
        return score_run({"metrics": metrics, "cases": [as_json(one) for one in cases]})


class MemoryStatistics:
    """The mean, and the range as its interval: wider than any bootstrap."""

    async def means(self, values: Mapping[str, Sequence[float]]) -> dict[str, Interval]:
        return {key: _range(some) for key, some in values.items() if len(some) > 1}

    async def differences(
        self, pairs: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    ) -> dict[str, Interval]:
        return {
            key: _range([after - before for before, after in zip(*pair, strict=True)])
            for key, pair in pairs.items()
            if len(pair[0]) > 1
        }

    async def agreements(
        self, pairs: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    ) -> dict[str, Agreement]:
        """1 where both rise alike, else 0."""
        found = {}
        for key, (first, second) in pairs.items():
            alike = sorted(range(len(first)), key=first.__getitem__) == sorted(
                range(len(second)), key=second.__getitem__
            )
            found[key] = Agreement(len(first), float(alike), float(alike), 1.0, float(alike))
        return found


class MemoryReportPages:
    """The report's kind as its page."""

    async def page(self, report: Mapping[str, Any]) -> bytes:
        return f"<html>{report['kind']}</html>".encode()


@dataclass
class MemoryTracker:
    """Runs by id."""

    noted: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    async def track(self, report: Mapping[str, Any], page: bytes) -> None:
        self.noted.setdefault(report["run"]["run_id"], report)


@dataclass
class MemoryReviews:
    """Examples as they are given, for every tenant."""

    found: Sequence[Example] = ()

    async def examples(self, tenant: str, since: datetime | None, limit: int) -> list[Example]:
        return list(self.found[:limit])


def bag_of_words(text: str) -> str:
    """Base64 of a unit vector: words thrown into bins."""
    bins = np.full(64, 1e-3, dtype="<f4")
    for word in text.lower().split():
        bins[int(hashlib.md5(word.encode()).hexdigest(), 16) % 64] += 1.0
    return base64.b64encode((bins / np.linalg.norm(bins)).astype("<f4").tobytes()).decode()


def _range(values: Sequence[float]) -> Interval:
    return Interval(sum(values) / len(values), min(values), max(values))
