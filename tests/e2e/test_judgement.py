"""Answers of the real platform: chains, feedback, runs on a dataset, a moved label."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

from gyre_client import Document, Gyre
from gyre_client.chains import ChainDone, StepDone
from gyre_client.evaluation import Target
from gyre_client.judgements import Metric
from gyre_client.models import AnswerDone, AnswerStarted

QUESTION = "How long do I have to withdraw from a contract?"
PATIENCE = 150.0


async def asked(gyre: Gyre, **how: str) -> tuple[AnswerStarted, AnswerDone]:
    events = [event async for event in gyre.answer(QUESTION, **how)]
    first, last = events[0], events[-1]
    assert isinstance(first, AnswerStarted)
    assert isinstance(last, AnswerDone)
    return first, last


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(round(PATIENCE * 5)):
        if await condition():
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"it did not come true within {PATIENCE} s")


async def test_a_chain_answers_with_every_step_recorded(
    gyre: Gyre, demo: dict[str, Document]
) -> None:
    events = [one async for one in gyre.chains.run("answer", {"question": QUESTION})]
    done = events[-1]
    assert isinstance(done, ChainDone)
    steps = {one.kind: one for one in events if isinstance(one, StepDone)}
    assert {"retrieve", "select", "generate"} <= steps.keys()
    assert all(one.status == "ok" for one in steps.values())
    assert steps["generate"].usage.output_tokens > 0
    plain = (await asked(gyre))[1]
    assert done.text == plain.text


async def test_feedback_given_at_once_is_joined_with_its_answer(
    gyre: Gyre, demo: dict[str, Document]
) -> None:
    await gyre.feedback.declare(Metric("helpful", "boolean"))
    started, _ = await asked(gyre)
    given = await gyre.feedback.give(started.answer_id, "helpful", True)

    async def joined() -> bool:
        [kept] = [one async for one in gyre.feedback.list(answer_id=started.answer_id)]
        assert kept.feedback_id == given.feedback_id
        return kept.state == "recorded" and kept.model == started.model

    await eventually(joined)


async def test_a_run_scores_answers_and_its_page_stands_alone(
    gyre: Gyre, demo: dict[str, Document]
) -> None:
    examples = [
        {"question": QUESTION, "answer": "Within 14 days."},
        {"question": "Who won the chess championship of 1927?", "unanswerable": True},
    ]
    await gyre.evaluation.upload_dataset("e2e", examples)
    metrics = ("groundedness", "refusal_correctness")
    started = await gyre.evaluation.start_run("e2e", Target(prompt_name="answer"), metrics=metrics)
    last = started
    async with asyncio.timeout(PATIENCE):
        async for run in gyre.evaluation.watch_run(started.run_id):
            last = run
    assert (last.state, last.done, last.failures) == ("succeeded", 2, 0)
    assert {one.metric for one in last.summaries if one.count} == set(metrics)
    page = (await gyre.evaluation.report([last.run_id], html=True)).decode()
    assert "<svg" in page
    assert not re.search(r'(?:src|href|action)="[^#"]', page)  # nothing is fetched
    assert "<script" not in page


async def test_a_moved_label_is_in_force_for_the_next_questions(
    gyre: Gyre, demo: dict[str, Document]
) -> None:
    content = dict((await gyre.prompts.get("answer"))[0].content)
    content["grounding"] = {**content["grounding"], "sentences": 3}
    first = (await gyre.prompts.register("e2e-answer", content)).version
    content["grounding"] = {**content["grounding"], "sentences": 2}
    second = (await gyre.prompts.register("e2e-answer", content)).version
    started, _ = await asked(gyre, prompt_name="e2e-answer")
    assert started.prompt_version == str(first.version)
    await gyre.prompts.promote("e2e-answer", str(second.version))

    async def in_force() -> bool:
        started, done = await asked(gyre, prompt_name="e2e-answer")
        return started.prompt_version == str(second.version) and done.finish_reason == "stop"

    await eventually(in_force)
