"""Answers that people were given are given again by the real services, and a gate is passed."""

from __future__ import annotations

import asyncio

from gyre.evaluation.v1.events_pb2 import AnswerEvaluated, GateDecided
from gyre.inference.v1.events_pb2 import AnswerGenerated
from gyre_client import Gyre
from gyre_client.evaluation import Target
from gyre_client.replays import Replay
from gyre_runtime.bus import subject_of

from tests.journey.conftest import Loop
from tests.journey.test_journey import ROAMING, ROUTER, ingested

QUESTIONS = ("What does roaming in Japan cost a day?", "How long does the travel pass last?")
POLICY = """\
workload: answer
minimum: 2
fixed:
  dataset: questions
  metrics: {token_f1: {margin: 0.1}}
fresh: {hours: 1, metrics: {groundedness: {margin: 0.1}}}
triggers: {strings: [cf-deploy-now], questions: 2, alike: 0.5}
"""


async def asked(gyre: Gyre, loop: Loop) -> None:
    """Two questions of a person, heard by everybody."""
    await ingested(gyre, "roaming.txt", ROAMING)
    await ingested(gyre, "router.txt", ROUTER)
    for question in QUESTIONS:
        async for _ in gyre.answer(question):
            pass
    await told(loop, AnswerGenerated, len(QUESTIONS))
    await loop.exchange.settled(20.0)


async def replayed(gyre: Gyre, target: Target, *, search_again: bool = False) -> Replay:
    started = await gyre.replays.start(
        target, search_again=search_again, metrics=["groundedness", "refusal"]
    )
    return [one async for one in gyre.replays.watch(started.replay_id)][-1]


async def told(loop: Loop, event: type, count: int) -> None:
    """Until so many are on the bus."""
    async with asyncio.timeout(150):
        while len(said(loop, event)) < count:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.1)


def said(loop: Loop, event: type) -> list[object]:
    prefix = subject_of(event, "*").removesuffix("*")
    return [
        event.FromString(one.data)  # type: ignore[attr-defined]
        for one in loop.exchange.messages
        if one.subject.startswith(prefix)
    ]


async def test_nothing_changed_gives_the_same_answers_again(loop: Loop) -> None:
    async with loop.client() as gyre:
        await asked(gyre, loop)
        replay = await replayed(gyre, Target())
        searched = await replayed(gyre, Target(prompt_name="answer"), search_again=True)
        await loop.exchange.settled(20.0)
        again = await replayed(gyre, Target())
    assert (replay.state, replay.answers, replay.failures) == ("succeeded", 2, 0), replay.detail
    assert (replay.changed, replay.refusals_gained, replay.refusals_lost) == (0, 0, 0)
    assert (searched.state, searched.changed) == ("succeeded", 0), searched.detail
    grounded = {one.metric: one for one in searched.differences}["groundedness"]
    assert grounded.baseline == grounded.candidate
    assert again.answers == 2  # what a replay asked is no history


async def test_a_replay_is_marked_and_nobody_scores_it_as_live(loop: Loop) -> None:
    async with loop.client() as gyre:
        await asked(gyre, loop)
        replay = await replayed(gyre, Target())
        await told(loop, AnswerEvaluated, len(QUESTIONS))
        await loop.exchange.settled(20.0)
    records = [one.record for one in said(loop, AnswerGenerated)]  # type: ignore[attr-defined]
    marked = [one for one in records if one.metadata.get("gyre.replay") == replay.replay_id]
    assert [one.workload for one in marked] == ["replay"] * 2
    assert {one.experiment for one in marked} == {""}
    live = {one.answer_id for one in said(loop, AnswerEvaluated)}  # type: ignore[attr-defined]
    assert live == {one.answer_id for one in records} - {one.answer_id for one in marked}


async def test_a_champion_passes_the_gate_against_itself(loop: Loop) -> None:
    async with loop.client() as gyre:
        await asked(gyre, loop)
        examples = [{"question": one, "answer": "Nine euros a day."} for one in QUESTIONS]
        await gyre.evaluation.upload_dataset("questions", examples)
        await gyre.gates.declare(POLICY)
        same = Target(prompt_name="answer")
        started = await gyre.gates.start("answer", same, same)
        gate = [one async for one in gyre.gates.watch(started.gate_id)][-1]
        await loop.exchange.settled(20.0)
    found = {(one.part, one.name): one.verdict for one in gate.checks}
    assert set(found.values()) == {"pass"}, gate.checks
    assert {part for part, _ in found} == {"fixed", "fresh", "triggers"}
    assert gate.may_proceed
    assert len(said(loop, GateDecided)) == 1
