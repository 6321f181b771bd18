"""A person is forgotten here, the others are told, and their word completes it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from gyre.evaluation.v1.events_pb2 import EvaluationsForgotten
from gyre.feedback.v1.events_pb2 import FeedbackForgotten
from gyre.inference.v1 import service_pb2, service_pb2_grpc
from gyre.inference.v1.events_pb2 import ErasureRequested
from gyre.retraining.v1.events_pb2 import SourcesForgotten
from gyre_inference.adapters.chain_runs import DatabaseChainRuns
from gyre_inference.adapters.tables import MIGRATIONS, metadata
from gyre_inference.adapters.throttles import DatabaseThrottles
from gyre_inference.app import build
from gyre_inference.domain.chain_runs import RunHeader, StepRecord
from gyre_inference.domain.record import Labels
from gyre_inference.domain.throttles import Throttle
from gyre_inference.settings import Settings
from gyre_runtime.bus import Bus, subject_of
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database
from gyre_runtime.events.compose import compose
from gyre_runtime.process import Service
from gyre_runtime.settings import ApiKey
from inference_world import World, until

KEYS = {
    "operator": ApiKey(tenant="acme", principal="ada", roles=frozenset({"operator", "reader"})),
    "reader": ApiKey(tenant="acme", principal="rob", roles=frozenset({"reader"})),
    "rival": ApiKey(tenant="rival", principal="eve", roles=frozenset({"operator"})),
}
WORD = "quetzalcoatlus"
QUESTION = "How many cents does a megabyte cost outside?"


@dataclass
class Running:
    """The service with one file, and how to talk to it."""

    service: Service
    database: Database
    exchange: MemoryExchange
    file: Path

    async def ask(self, user: str, question: str) -> None:
        request = service_pb2.AnswerRequest(question=question, end_user=user)
        async for _ in self._stub("Inference").Answer(
            request, timeout=50, metadata=_as("operator")
        ):
            pass

    async def privacy(self, method: str, request: Any, key: str = "operator") -> Any:
        call = getattr(self._stub("Privacy"), method)
        return (await call(request, timeout=50, metadata=_as(key))).erasure

    async def erase(self, user: str, **given: Any) -> Any:
        request = service_pb2.EraseUserRequest(end_user=user, reason="asked", **given)
        return await self.privacy("EraseUser", request)

    async def erasure(self, erasure_id: str) -> Any:
        request = service_pb2.GetErasureRequest(erasure_id=erasure_id)
        return await self.privacy("GetErasure", request)

    async def here(self, erasure_id: str) -> dict[str, int]:
        """What was erased here, once it is."""
        while True:
            known = (await self.erasure(erasure_id)).services[0]
            assert known.service == "inference"
            if known.HasField("forget_time"):
                return dict(known.erased)

    def say(self, event: Message, cause: str) -> None:
        self.exchange.publish(compose(event, tenant="acme", entity_id=cause, cause=cause))

    def said(self, event: type[Message]) -> list[Any]:
        subject = subject_of(event, "acme")
        return [
            event.FromString(one.data) for one in self.exchange.messages if one.subject == subject
        ]

    def bytes(self) -> bytes:
        files = self.file.parent.glob(f"{self.file.name}*")
        return b"".join(one.read_bytes() for one in files)

    def _stub(self, service: str) -> Any:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.service.rpc.port}")
        return getattr(service_pb2_grpc, f"{service}ServiceStub")(channel)


def _as(key: str) -> tuple[tuple[str, str]]:
    return (("authorization", f"Bearer {key}"),)


@asynccontextmanager
async def running(world: World, folder: Path) -> AsyncIterator[Running]:
    settings = Settings(
        grpc_address="127.0.0.1:0",
        metrics_port=0,
        stop_timeout=1,
        api_keys=KEYS,
        erasure_grace=0.0,
    )
    file = folder / "inference.db"
    database = Database(f"sqlite+aiosqlite:///{file}", metadata, migrations=MIGRATIONS)
    exchange = MemoryExchange()
    service = build(
        settings,
        search=world.search,
        vectors=world.vectors,
        model=world.model,
        database=database,
        bus=Bus(settings, "inference", database=database, link=MemoryLink(exchange)),
    )
    await service.start()
    try:
        yield Running(service, database, exchange, file)
    finally:
        await service.stop()


@pytest.fixture
async def run(world: World, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(world, tmp_path) as made:
        yield made


async def chain_run(database: Database, number: int, user: str) -> None:
    runs, run_id = DatabaseChainRuns(database), f"00000000-0000-0000-0000-{number:012}"
    now = datetime.now(UTC)
    labels = Labels("c-1", user, {})
    header = RunHeader(run_id, "help", "1", "a-1", {"q": WORD + user}, labels, now)
    await runs.begin("acme", header, "one")
    for place in range(2):
        step = StepRecord(f"s{place}", "", "generate", "x", now, 0.1, output={"text": WORD + user})
        await runs.keep("acme", run_id, "one", place, step)


async def test_what_was_said_is_erased_and_the_others_keep_theirs(run: Running) -> None:
    for user in ("mallory", "bob"):
        await run.ask(user, f"{QUESTION} {WORD}{user}")
        await chain_run(run.database, len(user), user)
    for user in ("mallory", "bob"):
        hold = Throttle(f"alert-{user}", "acme", "ada", user, datetime.now(UTC), "too much")
        await DatabaseThrottles(run.database).hold(hold)
    begun = await run.erase("mallory")
    assert not begun.HasField("complete_time")
    assert begun.principal == "ada"
    counts = await run.here(begun.erasure_id)
    assert counts == {"chain_runs": 1, "chain_steps": 2, "events": 2, "throttles": 1}
    (said,) = run.said(ErasureRequested)
    assert (said.erasure_id, said.end_user) == (begun.erasure_id, "mallory")
    kept = run.bytes()
    assert b"mallory" not in kept
    assert kept.count(f"{WORD}bob".encode()) > 3
    with sqlite3.connect(run.file) as connection:
        counted = [
            connection.execute(f"select count(*) from {table}").fetchone()[0]
            for table in ("chain_runs", "chain_steps", "throttles")
        ]
    assert counted == [1, 2, 1]


async def test_the_last_service_that_has_forgotten_completes_it(run: Running) -> None:
    begun = await run.erase("mallory", creation_key="k-1")
    await run.here(begun.erasure_id)
    for number, event in enumerate((FeedbackForgotten, EvaluationsForgotten, SourcesForgotten)):
        known = await run.erasure(begun.erasure_id)
        assert not known.HasField("complete_time")
        word = event(erasure_id=begun.erasure_id, erased={"things": number + 1})
        word.forget_time.FromDatetime(datetime.now(UTC))
        for cause in ("first", "again"):
            run.say(word, f"{cause}-{number}")
        unknown = event(erasure_id="elsewhere")
        run.say(unknown, f"strange-{number}")
        await run.exchange.settled(60)
    known = await run.erasure(begun.erasure_id)
    assert known.HasField("complete_time")
    assert [(one.service, dict(one.erased)) for one in known.services[1:]] == [
        ("feedback", {"things": 1}),
        ("evaluation", {"things": 2}),
        ("retraining", {"things": 3}),
    ]
    assert await run.erase("mallory", creation_key="k-1") == known


async def test_a_repetition_is_the_same_erasure_and_another_person_is_refused(
    run: Running,
) -> None:
    begun = await run.erase("mallory", creation_key="k-1")
    again = await run.erase("mallory", creation_key="k-1")
    assert again.erasure_id == begun.erasure_id
    assert (await run.erase("mallory")).erasure_id != begun.erasure_id
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await run.erase("bob", creation_key="k-1")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_only_an_operator_of_the_tenant_may(run: Running) -> None:
    begun = await run.erase("mallory")
    request = service_pb2.EraseUserRequest(end_user="mallory", reason="asked")
    known = service_pb2.GetErasureRequest(erasure_id=begun.erasure_id)
    for method, given, key, code in (
        ("EraseUser", request, "reader", grpc.StatusCode.PERMISSION_DENIED),
        ("GetErasure", known, "reader", grpc.StatusCode.PERMISSION_DENIED),
        ("GetErasure", known, "rival", grpc.StatusCode.NOT_FOUND),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await run.privacy(method, given, key)
        assert refused.value.code() is code
    for given in ({"end_user": "", "reason": "x"}, {"end_user": "x", "reason": " "}):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await run.privacy("EraseUser", service_pb2.EraseUserRequest(**given))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_erasure_goes_on_after_a_restart(world: World, tmp_path: Path) -> None:
    async with running(world, tmp_path) as first:
        await first.ask("mallory", f"{QUESTION} {WORD}")
        await until(lambda: first.exchange.messages)
        begun = await first.erase("mallory")
    async with running(world, tmp_path) as second:
        counts = await second.here(begun.erasure_id)
        assert counts["events"] == 2
        assert b"mallory" not in second.bytes()
