"""Callers that ask at the same time share one piece of work: one commit, one answer of the bus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

AskT = TypeVar("AskT")
AnswerT = TypeVar("AnswerT")


class Gathering(Generic[AskT, AnswerT]):
    """work: is given at most `limit` questions and returns as many answers, in order; while it
    runs, the next questions gather. What it raises, each of its callers gets."""

    def __init__(
        self, work: Callable[[Sequence[AskT]], Awaitable[Sequence[AnswerT]]], limit: int
    ) -> None:
        self._work = work
        self._limit = limit
        self._waiting: list[tuple[AskT, asyncio.Future[AnswerT]]] = []
        self._working: asyncio.Task[None] | None = None

    async def ask(self, question: AskT) -> AnswerT:
        answer: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._working is None or self._working.done():
            # In an empty context: the work is for many events, not for the one that came first.
            self._working = asyncio.create_task(self._answer_waiting(), context=Context())
        return await answer

    async def _answer_waiting(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
            open_answers = [answer for _, answer in group]
            try:
                found = await self._work([question for question, _ in group])
            except Exception as error:
                for answer in filter(_is_open, open_answers):
                    answer.set_exception(error)
                continue
            for answer, value in zip(open_answers, found, strict=True):
                if _is_open(answer):
                    answer.set_result(value)


def _is_open(answer: asyncio.Future[AnswerT]) -> bool:
    """A caller that was cancelled waits no more."""
    return not answer.done()
