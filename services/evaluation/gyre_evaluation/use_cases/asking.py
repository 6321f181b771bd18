"""One example: its answer from the cache or the target, and its scores."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from gyre_evaluation.domain.examples import Example, digest
from gyre_evaluation.domain.metrics.case import Evidence
from gyre_evaluation.domain.metrics.metric import Score
from gyre_evaluation.domain.rubrics import PREFERENCE
from gyre_evaluation.domain.runs import Item, Kind, Produced, Run, cache_key, case_of
from gyre_evaluation.ports import (
    Again,
    Runs,
    Scoring,
    TargetRefused,
    Targets,
    TargetUnavailable,
)

LONGEST_PAUSE = 30.0
FINDS_ANEW = (Kind.REPLAY_SEARCHED, Kind.SEARCH)  # what is found is not known before
Found = TypeVar("Found")
Prices = Mapping[str, tuple[float, float]]
"""Model -> what a million tokens of prompts and of answers cost."""


class AskExample:
    """attempts: how often an example is tried while the target does not answer or is full."""

    def __init__(
        self, runs: Runs, targets: Targets, scoring: Scoring, *, prices: Prices, attempts: int
    ) -> None:
        self._runs = runs
        self._targets = targets
        self._scoring = scoring
        self._prices = prices
        self._attempts = attempts

    async def ask(self, run: Run, metrics: Sequence[str], example: Example) -> None:
        """Recorded when it returns. Raises `TargetUnavailable`, `NotPossible` and
        `ScoringUnavailable`."""
        try:
            passages = await self._passages(run, example)
        except TargetRefused as refusal:
            failed = Item(example.example_id, Produced(error=str(refusal)))
            return await self._runs.record(run.run_id, failed, "")
        key = cache_key(run.tenant, run.target, _stamp(passages), example)
        may_know = not run.ignore_cache and run.target.kind not in FINDS_ANEW
        known = await self._runs.cached(run.tenant, key) if may_know else None
        produced = known or await self._produced(run, example, passages)
        scores = {} if produced.error else await self._scores(run, metrics, example, produced)
        item = Item(example.example_id, produced, scores, cached=known is not None)
        await self._runs.record(run.run_id, item, "" if known else key)
        return None

    async def _passages(self, run: Run, example: Example) -> tuple[Evidence, ...]:
        """An original brings its own. What a replay finds anew is told by its answers alone."""
        if example.original is not None and run.target.kind in (Kind.RECORDED, Kind.REPLAY):
            return example.original.passages
        return await self._retried(
            lambda: self._targets.passages(run.tenant, run.target, example.question)
        )

    async def _scores(
        self, run: Run, metrics: Sequence[str], example: Example, produced: Produced
    ) -> dict[str, Score]:
        case = case_of(example, produced, run.target.kind)
        (scores,) = await self._scoring.score(run.tenant, metrics, [case])
        if PREFERENCE.metric.name in metrics and run.baseline_run_id:
            other = await self._runs.item(run.baseline_run_id, example.example_id)
            if other is not None and not other.produced.error:
                preferred = await self._scoring.prefer(case, other.produced.text)
                scores[preferred.metric] = preferred
        return scores

    async def _produced(
        self, run: Run, example: Example, passages: tuple[Evidence, ...]
    ) -> Produced:
        if run.target.kind is Kind.RECORDED:
            return _recorded(example, passages)
        # The same request of the same run is the same id: what can be resumed is resumed.
        request_id = digest([run.run_id, example.example_id])[:32]
        try:
            produced = await self._retried(lambda: self._asked(run, example, request_id))
        except TargetRefused as refusal:
            return Produced(error=str(refusal))
        return _priced(produced, passages, self._prices)

    async def _asked(self, run: Run, example: Example, request_id: str) -> Produced:
        if not run.target.kind.replays:
            return await self._targets.answer(
                run.tenant, run.target, example.question, request_id=request_id
            )
        if example.original is None:
            raise TargetRefused("it is not known how the answer was given")
        target = run.target.over(example.original)
        again = Again(example.question, example.original, run.replay_id)
        return await self._targets.replay(run.tenant, target, again)

    async def _retried(self, call: Callable[[], Awaitable[Found]]) -> Found:
        for attempt in range(self._attempts):
            try:
                return await call()
            except TargetUnavailable as error:
                if attempt + 1 == self._attempts:
                    raise
                pause = max(error.retry_after, min(2.0**attempt, LONGEST_PAUSE))
                await asyncio.sleep(pause * random.uniform(0.7, 1.3))
        raise AssertionError("attempts are at least 1")


def _recorded(example: Example, passages: tuple[Evidence, ...]) -> Produced:
    text, original = example.recorded_answer, example.original
    if not text:
        return Produced(error="no recorded answer")
    if original is None:
        return Produced(text=text)
    return Produced(
        text=text,
        answer_id=original.answer_id,
        model=original.model,
        refused=True if original.refused else None,
        citations=original.citations,
        passages=passages,
        seconds=original.seconds,
        input_tokens=original.input_tokens,
        output_tokens=original.output_tokens,
    )


def _stamp(passages: Sequence[Evidence]) -> str:
    """What was found is part of the question: other documents, another answer."""
    return digest([(one.chunk_id, one.text) for one in passages])


def _priced(produced: Produced, passages: tuple[Evidence, ...], prices: Prices) -> Produced:
    price = prices.get(produced.model)
    cost = produced.cost_micros
    if cost is None and price is not None:
        cost = round(produced.input_tokens * price[0] + produced.output_tokens * price[1])
    return replace(produced, passages=produced.passages or passages, cost_micros=cost)
