"""Events that may have ended the process are tried late and alone."""

from __future__ import annotations

import asyncio
import time

from gyre.embedding.v1.events_pb2 import ChunksEmbedded
from gyre_runtime.bus.suspects import Suspects
from gyre_runtime.events.compose import compose


async def test_no_suspect_is_tried_in_a_young_process() -> None:
    born = time.monotonic()
    async with Suspects(0.3).alone():
        assert time.monotonic() - born >= 0.3


async def test_suspects_are_tried_one_at_a_time() -> None:
    suspects, inside, most = Suspects(0.0), 0, 0

    async def run() -> None:
        nonlocal inside, most
        async with suspects.alone():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*(run() for _ in range(5)))
    assert most == 1


def test_a_named_event_keeps_its_id_where_its_content_differs() -> None:
    said = [
        compose(ChunksEmbedded(dimension=size), tenant="t", entity_id="d", cause="c", name="0")
        for size in (3, 4)
    ]
    assert said[0].event_id == said[1].event_id
    other = compose(ChunksEmbedded(), tenant="t", entity_id="d", cause="c", name="1")
    assert other.event_id != said[0].event_id
