"""Callers that ask together are served together, and only as well as each deserves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from gyre_runtime.bus.gathering import Gathering


async def test_what_is_asked_together_is_one_piece_of_work_and_what_comes_later_the_next():
    pieces: list[Sequence[int]] = []

    async def double(numbers: Sequence[int]) -> list[int]:
        pieces.append(numbers)
        await asyncio.sleep(0)
        return [2 * number for number in numbers]

    doubling = Gathering(double, limit=3)
    answers = await asyncio.gather(*(doubling.ask(number) for number in range(5)))
    assert await doubling.ask(5) == 10
    assert answers == [0, 2, 4, 6, 8]
    assert pieces == [[0, 1, 2], [3, 4], [5]]


async def test_what_the_work_raises_reaches_its_callers_and_the_next_are_served():
    async def refuse_zero(numbers: Sequence[int]) -> Sequence[int]:
        if 0 in numbers:
            raise ConnectionError("away")
        return numbers

    asking = Gathering(refuse_zero, limit=2)
    asked = (asking.ask(number) for number in range(4))
    first, second, *rest = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(first, ConnectionError)
    assert isinstance(second, ConnectionError)
    assert rest == [2, 3]


async def test_a_caller_that_leaves_takes_nobody_with_it():
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def wait(numbers: Sequence[int]) -> Sequence[int]:
        begun.set()
        await may_end.wait()
        return numbers

    waiting = Gathering(wait, limit=9)
    leaves, stays = (asyncio.create_task(waiting.ask(number)) for number in range(2))
    await begun.wait()
    leaves.cancel()
    may_end.set()
    assert await stays == 1
    with pytest.raises(asyncio.CancelledError):
        await leaves
