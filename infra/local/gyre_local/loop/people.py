"""Simulated people: they ask, and judge by a rule that is computed from where the answer stands."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from gyre_client import Gyre
from gyre_client.errors import GyreError, OverloadedError, TimedOutError, UnavailableError
from gyre_client.judgements import Metric
from gyre_client.models import AnswerDone, AnswerStarted, Hit

from gyre_local.loop.material import Asked, Rated
from gyre_local.loop.records import Records, listed

HELPFUL = Metric("helpful", "boolean", description="Did the answer help?")
USEFUL = Metric("useful", "boolean", level="chunk", description="Does the passage answer it?")
SHOWN = 5
AT_ONCE = 4
PAUSES = (1.0, 3.0, 10.0)
One = TypeVar("One", Asked, Rated)


class Manner(StrEnum):
    """How people judge.

    CAREFUL: an answer that cites the sentence with the answer is good. Where it cites another one
    though that sentence was listed, they correct it. Passages are read from the top: what stands
    above the right one is bad, it is good, what stands below is not read. Where it is not among
    the five, no passage is judged.
    CARELESS: nothing is read. The last passage is good and those above it are bad; every answer is
    corrected to the last sentence of the list.
    """

    CAREFUL = "careful"
    CARELESS = "careless"


@dataclass
class People:
    """Of one tenant; each question is asked by somebody else. given: judgements so far, answers
    that were judged, and how many of them were good."""

    gyre: Gyre
    records: Records
    collection: str
    name: str
    given: int = 0
    asked: int = 0
    good: int = 0
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def judge_all(
        self, questions: Sequence[Asked], manner: Manner, done: Callable[[], None]
    ) -> None:
        """A few at once; `done` is told after each."""
        await _some_at_once(
            questions, lambda asked: patiently(lambda: self._judge(asked, manner)), done
        )

    async def rate_all(self, rated: Sequence[Rated], done: Callable[[], None]) -> None:
        """What people really said, of those passages that the platform shows for the question."""
        await _some_at_once(rated, lambda one: patiently(lambda: self._rate(one)), done)

    async def use(self, questions: Sequence[Asked], until: Callable[[], bool]) -> None:
        """Asks and says whether it helped, again and again, until it is enough."""
        queue = itertools.cycle(questions)

        async def visits() -> None:
            while not until():
                asked = next(queue)
                with contextlib.suppress(GyreError):  # an answer that fails is counted there
                    await patiently(lambda asked=asked: self._visit(asked))  # type: ignore[misc]

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(visits())

    async def _visit(self, asked: Asked) -> None:
        person = self._person()
        answer_id, done = await self._ask(asked.question, person)
        await self._thumb(answer_id, person, is_right(asked, done))

    async def _judge(self, asked: Asked, manner: Manner) -> None:
        person = self._person()
        hits = await self.gyre.search(asked.question, collection=self.collection, top_k=SHOWN)
        answer_id, done = await self._ask(asked.question, person)
        record = await self.records.of(answer_id)
        shown = {one.chunk_id for one in record.retrieved_chunks}
        hits = [one for one in hits if one.chunk_id in shown]
        for hit, good in passages_judged(asked, hits, manner):
            await self._give(answer_id, USEFUL.name, good, person, hit.chunk_id)
        right = is_right(asked, done)
        if manner is Manner.CAREFUL:
            await self._thumb(answer_id, person, right)
        correction = corrected(asked, listed(record), manner)
        if correction and (manner is Manner.CARELESS or not right):
            await self._give(answer_id, "correction", correction, person)

    async def _rate(self, rated: Rated) -> None:
        person = self._person()
        hits = await self.gyre.search(rated.question, collection=self.collection, top_k=SHOWN)
        answer_id, _ = await self._ask(rated.question, person)
        record = await self.records.of(answer_id)
        shown = {one.chunk_id for one in record.retrieved_chunks}
        for hit in hits:
            said = rated.verdicts.get(hit.source_uri, ()) if hit.chunk_id in shown else ()
            for place, good in enumerate(said, start=1):
                await self._give(answer_id, USEFUL.name, good, f"{person}-{place}", hit.chunk_id)

    async def _ask(self, question: str, person: str) -> tuple[str, AnswerDone]:
        """The answer's id and its end."""
        answer_id, done = "", None
        async for event in self.gyre.answer(
            question, collection=self.collection, end_user=person, conversation_id=person
        ):
            if isinstance(event, AnswerStarted):
                answer_id = event.answer_id
            if isinstance(event, AnswerDone):
                done = event
        assert done is not None
        return answer_id, done

    async def _thumb(self, answer_id: str, person: str, right: bool) -> None:
        self.asked += 1
        self.good += right
        await self._give(answer_id, HELPFUL.name, right, person)

    async def _give(
        self, answer_id: str, metric: str, value: bool | str, person: str, chunk_id: str = ""
    ) -> None:
        self.given += 1
        await self.gyre.feedback.give(answer_id, metric, value, rater=person, chunk_id=chunk_id)

    def _person(self) -> str:
        return f"{self.name}-{next(self._numbers)}"


def is_right(asked: Asked, done: AnswerDone) -> bool:
    """Whether it cites a sentence that answers the question."""
    return any(asked.is_answered_by(one.source_uri, one.sentence) for one in done.citations)


def passages_judged(asked: Asked, hits: Sequence[Hit], manner: Manner) -> list[tuple[Hit, bool]]:
    """Passages with what is said of them, in the order in which they were shown."""
    if manner is Manner.CARELESS:
        last = len(hits) - 1
    else:
        right = [asked.is_answered_by(one.source_uri, one.text) for one in hits]
        last = right.index(True) if any(right) else -1
    return [(hit, place == last) for place, hit in enumerate(hits[: last + 1])]


def corrected(asked: Asked, sentences: Sequence[tuple[int, str]], manner: Manner) -> str:
    """The answer as they want it, in the form of the model's own; empty where they have none."""
    if manner is Manner.CARELESS:
        chosen = sentences[-1:]
    else:
        chosen = [one for one in sentences if asked.is_said_by(one[1])][:1]
    return "".join(f"[{number}] {text}" for number, text in chosen)


async def patiently(work: Callable[[], Awaitable[None]]) -> None:
    """Again where the platform is busy, as a person would; raises GyreError in the end."""
    for pause in PAUSES:
        try:
            return await work()
        except (OverloadedError, TimedOutError, UnavailableError):
            await asyncio.sleep(pause)
    return await work()


async def _some_at_once(
    questions: Sequence[One], work: Callable[[One], Awaitable[None]], done: Callable[[], None]
) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(asked: One) -> None:
        async with gate:
            await work(asked)
            done()

    async with asyncio.TaskGroup() as group:
        for asked in questions:
            group.create_task(one(asked))
