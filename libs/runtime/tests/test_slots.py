"""Slots: as many handlers at once as there are slots, whenever they leave them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gyre_runtime.bus.pull import Slots


async def test_a_slot_that_was_left_early_is_not_free_twice():
    slots, settled = Slots(1), asyncio.Event()

    async def leaves_early(leave: Callable[[], None]) -> None:
        leave()
        await settled.wait()

    async def stays(leave: Callable[[], None]) -> None:
        await asyncio.Event().wait()

    slots.run(leaves_early)
    assert await slots.free() == 1
    slots.run(stays)
    settled.set()
    waiting = asyncio.create_task(slots.free())
    done, _ = await asyncio.wait([waiting], timeout=0.1)
    assert not done
    waiting.cancel()
    await slots.drain(timeout=0)


async def test_work_that_never_leaves_its_slot_frees_it_when_it_ends():
    slots = Slots(2)

    async def fails(leave: Callable[[], None]) -> None:
        raise RuntimeError("no")

    slots.run(fails)
    slots.run(fails)
    assert await slots.free() == 2
