"""A person asks, judges, is evaluated and is forgotten: no service's files have a word of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from gyre.evaluation.v1.service_pb2 import AnswerFilter
from gyre_client import AnswerStarted, Gyre

from tests.journey.conftest import Loop
from tests.journey.test_journey import ROAMING, ingested

WORD = "quetzalcoatlus"
SERVICES = ("inference", "feedback", "evaluation", "retraining")


def keepers(folder: Path, word: str) -> set[str]:
    """Services whose database, or the log beside it, holds the word."""
    files = [one for one in folder.rglob("*.db*") if one.is_file()]
    return {one.name.partition(".")[0] for one in files if word.encode() in one.read_bytes()}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110  a test may poll
            await asyncio.sleep(0.05)


async def asked(gyre: Gyre, person: str) -> str:
    """Id of the answer to a question that only this person asks; it is judged, too."""
    question = f"What does roaming in Japan cost a day, with a {WORD}{person}?"
    answer_id = ""
    async for event in gyre.answer(question, end_user=person):
        if isinstance(event, AnswerStarted):
            answer_id = event.answer_id
    comment = f"My {WORD}{person} paid more."
    await gyre.feedback.give(answer_id, "comment", comment, rater=person)
    return answer_id


async def test_a_person_who_asked_and_judged_is_forgotten_everywhere(
    loop: Loop, tmp_path: Path
) -> None:
    people = "mallory", "bob"
    async with loop.client() as gyre:
        await ingested(gyre, "roaming.txt", ROAMING)
        answers = {one: await asked(gyre, one) for one in people}
        for one in people:
            await until(lambda one=one: keepers(tmp_path, f"{WORD}{one}") >= set(SERVICES))
        await gyre.evaluation.open_dataset("real", recorded=AnswerFilter(limit=10))
        begun = await gyre.privacy.erase("mallory", reason="asked by letter")
        async with asyncio.timeout(240):
            async for known in gyre.privacy.watch(begun.erasure_id):
                begun = known
        assert begun.complete_time is not None
        told = {one.service: one.erased for one in begun.services}
        assert set(told) == set(SERVICES)
        assert told["inference"]["events"] == 2  # the answer's record, and the wish itself
        assert told["feedback"]["judgements"] == 1
        assert told["evaluation"]["recorded_answers"] == told["evaluation"]["examples"] == 1
        assert (told["retraining"]["answers"], told["retraining"]["judgements"]) == (1, 1)
        for word in (f"{WORD}mallory", "mallory"):
            assert keepers(tmp_path, word) == set()
        assert keepers(tmp_path, f"{WORD}bob") >= set(SERVICES)
        said = [one.value async for one in gyre.feedback.list(answer_id=answers["bob"])]
        assert said == [f"My {WORD}bob paid more."]
