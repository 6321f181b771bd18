"""Judges behind OpenAI-compatible endpoints: anybody's, and our own edge."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

from gyre_evaluation.domain.judging import (
    Opinion,
    Preference,
    Unreadable,
    given_of,
    preference_score,
    read_preference,
    read_score,
    score_of,
    settled,
)
from gyre_evaluation.domain.metrics.case import Case
from gyre_evaluation.domain.metrics.metric import Score, Source
from gyre_evaluation.domain.rubrics import Rubric

ATTEMPTS = 4
MOST_TOKENS = 400
AGAIN = frozenset({408, 409, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class JudgeEndpoint:
    """Where a judge is. base_url: up to and with the version. timeout: seconds. api_key: shown
    nowhere; empty where none is asked for."""

    base_url: str
    model: str
    api_key: str = field(default="", repr=False)
    timeout: float = 60.0


class JudgeFailed(Exception):
    """The judge gave no verdict; the message says why, without its key."""


class OpenAIJudge:
    """One model. Full or away: asked again, after the time that it asks for."""

    def __init__(self, settings: JudgeEndpoint, client: httpx.AsyncClient) -> None:
        self.name = settings.model
        self._settings = settings
        self._client = client

    async def score(self, rubric: Rubric, case: Case) -> Opinion:
        prompt = rubric.prompt(case.question, case.answer, given_of(rubric, case))
        try:
            value, reason = read_score(await self._reply(prompt))
        except (JudgeFailed, Unreadable) as error:
            return Opinion(self.name, error=str(error))
        return Opinion(self.name, value, reason)

    async def prefer(self, rubric: Rubric, case: Case, other: str) -> Preference:
        """The case's answer is the first. Asked twice, in both orders. Raises `JudgeFailed`."""
        given = given_of(rubric, case)
        orders = [(case.answer, other), (other, case.answer)]
        prompts = [rubric.pair_prompt(case.question, *order, given) for order in orders]
        replies = await asyncio.gather(*map(self._reply, prompts))
        try:
            shown, swapped = map(read_preference, replies)
        except Unreadable as error:
            raise JudgeFailed(str(error)) from error
        return settled(shown, swapped)

    async def _reply(self, prompt: str) -> str:
        for attempt in range(ATTEMPTS):
            try:
                return await self._once(prompt)
            except _Again as again:
                if attempt + 1 == ATTEMPTS:
                    raise JudgeFailed(str(again)) from again
                await asyncio.sleep(max(again.after, 0.5 * 2**attempt) * random.uniform(0.8, 1.2))
        raise AssertionError("attempts are at least 1")

    async def _once(self, prompt: str) -> str:
        settings = self._settings
        key = settings.api_key
        try:
            reply = await self._client.post(
                f"{settings.base_url.rstrip('/')}/chat/completions",
                headers={"authorization": f"Bearer {key}"} if key else {},
                json={
                    "model": settings.model,
                    "messages": [{"role": "user", "content": prompt}],
                    "temperature": 0,
                    "max_tokens": MOST_TOKENS,
                },
                timeout=settings.timeout,
            )
        except httpx.HTTPError as error:
            raise _Again(f"the judge does not answer: {type(error).__name__}") from error
        if reply.status_code in AGAIN:
            raise _Again(f"the judge says {reply.status_code}", _after(reply))
        if reply.status_code != httpx.codes.OK:
            raise JudgeFailed(f"the judge says {reply.status_code}: {reply.text[:200]}")
        return _content(reply)


class Judges:
    """All that are set up; each is asked, their opinions become one score."""

    def __init__(self, models: Sequence[JudgeEndpoint], *, concurrency: int) -> None:
        self._models = models
        self._turns = asyncio.Semaphore(concurrency)
        self._judges: list[OpenAIJudge] = []

    async def __aenter__(self) -> Self:
        self._client = httpx.AsyncClient() if self._models else None
        if self._client is not None:
            self._judges = [OpenAIJudge(one, self._client) for one in self._models]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            await self._client.aclose()

    def __bool__(self) -> bool:
        return bool(self._models)

    async def score(self, rubric: Rubric, case: Case) -> Score:
        asked = (self._turn(lambda one=one: one.score(rubric, case)) for one in self._judges)  # type: ignore[misc]
        return score_of(rubric, await asyncio.gather(*asked))

    async def prefer(self, rubric: Rubric, case: Case, other: str) -> Score:
        """The case's answer against another one, by majority."""
        asked = (
            self._turn(lambda one=one: one.prefer(rubric, case, other))  # type: ignore[misc]
            for one in self._judges
        )
        names = [one.name for one in self._judges]
        try:
            return preference_score(rubric, names, await asyncio.gather(*asked))
        except JudgeFailed as error:
            metric = rubric.metric.name
            return Score(metric, None, Source.JUDGE, ",".join(names), rubric.mark, error=str(error))

    async def _turn(self, work: Callable[[], Awaitable[Any]]) -> Any:
        async with self._turns:
            return await work()


class _Again(Exception):
    """A later try may succeed. after: seconds that were asked for."""

    def __init__(self, detail: str, after: float = 0.0) -> None:
        super().__init__(detail)
        self.after = after


def _after(reply: httpx.Response) -> float:
    said = reply.headers.get("retry-after", "")
    return min(float(said), 60.0) if said.replace(".", "", 1).isdigit() else 0.0


def _content(reply: httpx.Response) -> str:
    try:
        return str(reply.json()["choices"][0]["message"]["content"] or "")
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise JudgeFailed("the judge's reply is no chat completion") from error
