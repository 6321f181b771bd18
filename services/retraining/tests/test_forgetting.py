"""A person is forgotten: sources, datasets and lineage, and what comes late stays out."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gyre.inference.v1.events_pb2 import ErasureRequested
from gyre.retraining.v1 import service_pb2 as wire
from gyre.retraining.v1.events_pb2 import SourcesForgotten

sys.path.append(str(Path(__file__).parent))
from service_world import World, answered, running, thumb

WORD = "quetzalcoatlus"


def wanted(user: str) -> ErasureRequested:
    event = ErasureRequested(erasure_id=f"e-{user}", end_user=user)
    event.request_time.FromDatetime(datetime.now(UTC))
    return event


def content(folder: Path) -> bytes:
    """Of every file of the service, its database's log and its datasets included."""
    files = [one for one in folder.rglob("*") if one.is_file() and "jobs" not in one.parts]
    return b"".join(one.read_bytes() for one in files)


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def mark(event: Any) -> Any:
    event.record.question += f" {WORD}"
    event.record.completion += f" {WORD}"
    event.record.messages[0].content += f" {WORD}"
    return event


async def forgotten(world: World) -> Any:
    """The one word of it."""
    (said,) = await world.said(SourcesForgotten)
    return said


async def test_sources_datasets_and_lineage_forget_one_and_keep_the_others(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        world.say(mark(answered(3)), "answer-3")
        await world.judged(24)
        done = await world.watched((await world.start()).training_id)
        request = wire.GetTrainingDatasetRequest(dataset_id=done.dataset_id)
        folder = Path((await world.call("GetTrainingDataset", request)).dataset.uri)
        assert (folder / "train.parquet").exists()
        for cause in ("first", "again"):
            world.say(wanted("user-3"), cause)
        said = await forgotten(world)
        assert said.erasure_id == "e-user-3"
        assert dict(said.erased) == {
            "answers": 1,
            "judgements": 1,
            "datasets": 1,
            "lineage_edges": 3,
        }
        assert names(folder) == ["manifest.json"]
        gone = wire.GetLineageRequest(kind="user", id="user-3")
        assert (await world.refused("GetLineage", gone)).code().name == "NOT_FOUND"
        forward = wire.LINEAGE_DIRECTION_FORWARD
        other = wire.GetLineageRequest(kind="user", id="user-4", direction=forward)
        found = (await world.call("GetLineage", other)).nodes
        assert ("model", done.model) in {(one.kind, one.id) for one in found}
        # What was said before comes late: it stays out. What is said after it is new.
        late = mark(answered(3))
        late.record.answer_id = "a-late"
        late.record.request_time.FromSeconds(1_700_000_000)
        world.say(late, "late")
        new = answered(3)
        new.record.answer_id, new.record.end_user = "a-new", "user-3"
        world.say(new, "new")
        world.say(thumb(3), "thumb-3")
        await world.exchange.settled(60)
        files = content(tmp_path)
        assert WORD.encode() not in files
        assert b"a-late" in files
        second = await world.watched((await world.start(request_id="r-2")).training_id)
        request = wire.GetTrainingDatasetRequest(dataset_id=second.dataset_id)
        dataset = (await world.call("GetTrainingDataset", request)).dataset
        assert sum(dataset.rows.values()) == 23


async def test_an_erasure_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        world.say(mark(answered(3)), "answer-3")
        await world.exchange.settled(60)
        world.say(wanted("user-3"), "wanted")
        await world.exchange.settled(60)
    async with running(tmp_path) as world:
        for _ in range(600):
            if b"user-3" not in content(tmp_path):
                break
            await asyncio.sleep(0.05)
        assert WORD.encode() not in content(tmp_path)
