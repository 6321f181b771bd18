"""The demo's third act: two answers are judged, and shown as joined with their records."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gyre_client import Gyre
from gyre_client.judgements import Feedback, Metric
from rich.console import Console
from rich.rule import Rule
from rich.table import Table

HELPFUL = Metric("helpful", "boolean", description="Did the answer help?")
BETTER = "There is no discount for customers over 65."
CUSTOMER = "demo-customer"
JOIN_SECONDS = 30.0


async def judge(console: Console, gyre: Gyre, answer_ids: Sequence[str]) -> None:
    """A thumb up for the first answer, a better text for the last one. Raises GyreError."""
    console.print(Rule("feedback on two answers, joined with their records"))
    await gyre.feedback.declare(HELPFUL)
    first, last = answer_ids[0], answer_ids[-1]
    given = [
        await gyre.feedback.give(first, HELPFUL.name, True, rater=CUSTOMER),
        await gyre.feedback.give(last, "correction", BETTER, rater=CUSTOMER),
    ]
    console.print(_records([await _joined(gyre, one) for one in given]))


async def _joined(gyre: Gyre, given: Feedback) -> Feedback:
    """As it stands once its answer's record has come by; as it is where none comes in time."""
    found, deadline = given, asyncio.get_running_loop().time() + JOIN_SECONDS
    while found.state == "waiting" and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.1)
        kept = [one async for one in gyre.feedback.list(answer_id=given.answer_id)]
        found = next(one for one in kept if one.feedback_id == given.feedback_id)
    return found


def _records(joined: Sequence[Feedback]) -> Table:
    table = Table("feedback", "state", "its answer", "prompt", "model")
    for one in joined:
        feedback = f"{one.metric}: {one.value}"
        table.add_row(feedback, one.state, one.answer_id, one.prompt, one.model)
    return table
