"""A person is forgotten, with what was made of the answers; what comes late stays out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from gyre.evaluation.v1 import service_pb2 as wire
from gyre.evaluation.v1.events_pb2 import AlertRaised, AnswerEvaluated, EvaluationsForgotten
from gyre.inference.v1.events_pb2 import AnswerFailed, AnswerGenerated, ErasureRequested
from gyre_evaluation.adapters.offline import tables as offline
from gyre_evaluation.adapters.tables import MIGRATIONS, metadata
from gyre_evaluation.app import build
from gyre_evaluation.settings import Settings
from gyre_runtime.bus import Bus
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database
from live_world import Lengths, Words, record
from test_live_doors import BAD, KEYS, Door

WORD = "quetzalcoatlus"
ASKED = datetime.now(UTC) - timedelta(hours=1)


class Room(Door):
    """The service on a file."""

    file: Path
    database: Database

    async def asked(self, number: int, user: str, **facts: Any) -> None:
        text = f"{facts.pop('bad', '')} How does {WORD}-{user} fly, number {number}?"
        given = {"time": ASKED, "end_user": user, "completion": f"{WORD}-{user} glides. [1]"}
        await self.say(AnswerGenerated(record=record(number, text, **{**given, **facts})))

    async def failed(self, number: int, user: str) -> None:
        text = f"What of {WORD}-{user}?"
        made = record(number, text, end_user=user, time=ASKED)
        await self.say(AnswerFailed(record=made, status="UNAVAILABLE"))

    async def forget(self, user: str) -> dict[str, int]:
        event = ErasureRequested(erasure_id="e-1", end_user=user)
        event.request_time.FromDatetime(datetime.now(UTC))
        for _ in range(2):
            await self.say(event)
        (said,) = await self.heard(EvaluationsForgotten)
        assert said.erasure_id == "e-1"
        return dict(said.erased)

    async def count(self, table: sa.Table) -> int:
        async with self.database.reading() as connection:
            query = sa.select(sa.func.count()).select_from(table)
            return int(await connection.scalar(query) or 0)

    async def run_on(self, name: str) -> str:
        """A finished run's answers, as they are kept: what was recorded is looked at again."""
        async with self.database.reading() as connection:
            ids = list(await connection.scalars(sa.select(offline.examples.c.example_id)))
        row = {
            "run_id": "run-1",
            "tenant": "acme",
            "creation_key": None,
            "dataset": name,
            "dataset_version": 1,
            "plan": {},
            "state": "succeeded",
            "detail": "",
            "examples": len(ids),
            "result": {},
            "owner": "",
            "lease_until": 0.0,
            "create_time": 0.0,
        }
        item = {"run_id": "run-1", "scores": {}, "failed": False, "cached": False}
        cached = {"tenant": "acme", "time": 0.0, "produced": {"text": f"{WORD}-mallory"}}
        async with self.database.transaction() as transaction:
            connection = transaction.connection
            await connection.execute(sa.insert(offline.runs), row)
            for one in ids:
                said = {"example_id": one, "produced": {"text": "a glider"}}
                await connection.execute(sa.insert(offline.items), item | said)
            await connection.execute(sa.insert(offline.answer_cache), cached | {"key": "k"})
        return "run-1"

    def bytes(self) -> bytes:
        files = self.file.parent.glob(f"{self.file.name}*")
        return b"".join(one.read_bytes() for one in files)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    settings = Settings(
        grpc_address="127.0.0.1:0",
        metrics_port=0,
        api_keys=KEYS,
        online_share=1.0,
        mlflow_tracking_uri="",
        stop_timeout=1,
    )
    file = tmp_path / "evaluation.db"
    database = Database(f"sqlite+aiosqlite:///{file}", metadata, migrations=MIGRATIONS)
    exchange = MemoryExchange()
    bus = Bus(settings, "evaluation", database=database, link=MemoryLink(exchange))
    service = build(settings, database=database, bus=bus, rules=Lengths(), vectors=Words())
    await service.start()
    made = Room(service, exchange)
    made.file, made.database = file, database
    yield made
    await service.stop()


async def test_one_is_forgotten_with_what_was_made_of_the_answers(room: Room) -> None:
    for number in range(2):
        await room.asked(number, "mallory")
        await room.asked(10 + number, "bob")
    await room.failed(20, "mallory")
    for number in range(30, 33):
        await room.asked(number, "mallory", bad=BAD)
    await room.heard(AlertRaised)
    await room.heard(AnswerEvaluated, 7)
    opened = wire.CreateDatasetRequest(name="real")
    opened.recorded_answers.limit = 100
    await room.call("CreateDataset", opened)
    sealed = wire.SealDatasetRequest(name="real", version=1)
    before = (await room.call("SealDataset", sealed)).dataset
    await room.run_on("real")
    erased = await room.forget("mallory")
    assert {name: erased[name] for name in ("recorded_answers", "examples", "run_answers")} == {
        "recorded_answers": 5,
        "examples": 5,
        "run_answers": 5,
    }
    assert (erased["alerts"], erased["cached_answers"], erased["events"]) == (1, 1, 1)
    assert erased["scores"] >= 5
    assert erased["observations"] >= 5
    kept = room.bytes()
    assert b"mallory" not in kept
    assert kept.count(f"{WORD}-bob".encode()) >= 4
    assert [await room.count(one) for one in (offline.recorded_answers, offline.items)] == [2, 2]
    request = wire.GetDatasetRequest(name="real", version=1)
    after = (await room.call("GetDataset", request)).dataset
    assert (after.content_hash, after.examples) == (before.content_hash, 2)
    (alert,) = (await room.call("ListAlerts", wire.ListAlertsRequest())).alerts
    assert (alert.raised.end_user, len(alert.raised.answer_ids)) == ("", 3)


async def test_what_comes_late_stays_out_and_what_comes_after_is_new(room: Room) -> None:
    await room.asked(1, "mallory")
    await room.forget("mallory")
    await room.asked(2, "mallory")
    await room.failed(3, "mallory")
    assert b"mallory" not in room.bytes()
    assert await room.count(offline.recorded_answers) == 0
    await room.asked(4, "mallory", time=datetime.now(UTC))
    assert await room.count(offline.recorded_answers) == 1
