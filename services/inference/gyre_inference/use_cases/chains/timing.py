"""A run's time, for whatever a step waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

from gyre_inference.domain.faults import BudgetSpent, DeadlinePassed
from gyre_inference.use_cases.chains.events import StepEvent
from gyre_inference.use_cases.chains.run import Run


async def in_time(run: Run, events: AsyncGenerator[StepEvent]) -> AsyncGenerator[StepEvent]:
    """The events. Raises `BudgetSpent` or `DeadlinePassed`, whichever time ended."""
    while True:
        try:
            # Around each wait, never around a `yield`: the timeout belongs to one task.
            async with asyncio.timeout(run.time_left):
                event = await anext(events)
        except StopAsyncIteration:
            return
        except TimeoutError:
            with budget_told(run):
                raise DeadlinePassed("the deadline passed while the chain was running") from None
        yield event


@contextmanager
def budget_told(run: Run) -> Iterator[None]:
    """A deadline that passed because the budget's time did is told as that."""
    try:
        yield
    except DeadlinePassed as passed:
        if run.is_over_budget:
            told = f"the chain's budget of {run.budget.seconds:g} s is spent"
            raise BudgetSpent(told) from passed
        raise
