"""A caller that misuses the assistant is refused for a time, is told so, and nobody else is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from databases import opened
from google.rpc import error_details_pb2, status_pb2
from gyre.evaluation.v1.events_pb2 import AlertAcknowledged, AlertKind, AlertRaised
from gyre.inference.v1 import service_pb2, service_pb2_grpc
from gyre_inference.adapters.memory import MemoryThrottles
from gyre_inference.adapters.tables import MIGRATIONS, metadata
from gyre_inference.adapters.throttles import DatabaseThrottles
from gyre_inference.app import build
from gyre_inference.domain.record import Caller
from gyre_inference.domain.throttles import Throttle, Throttled
from gyre_inference.ports import Throttles
from gyre_inference.settings import Settings
from gyre_inference.use_cases.throttling import Throttling
from gyre_runtime.bus import Bus
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database
from gyre_runtime.events.compose import compose
from inference_world import World

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
CALLER = Caller("acme", "shop")
QUESTION = "How many cents does a megabyte cost outside?"


def throttle(alert_id: str = "a1", end_user: str = "", tenant: str = "acme") -> Throttle:
    return Throttle(alert_id, tenant, "shop", end_user, NOON + timedelta(minutes=15), "a flood")


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def throttles(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Throttles]:
    if request.param == "memory":
        yield MemoryThrottles()
        return
    async with opened(request.param, tmp_path) as database:
        yield DatabaseThrottles(database)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttling(throttles: Throttles, clock: Clock) -> Throttling:
    def failed(error: Exception) -> None:
        raise error

    return Throttling(throttles, pause=0.01, failed=failed, clock=clock)


async def held(throttling: Throttling, caller: Caller = CALLER, end_user: str = "") -> bool:
    await throttling.look()
    try:
        throttling.admit(caller, end_user)
    except Throttled:
        return True
    return False


async def test_a_held_principal_is_refused_until_its_time(
    throttling: Throttling, clock: Clock
) -> None:
    assert not await held(throttling)
    await throttling.hold(throttle())
    assert await held(throttling)
    assert not await held(throttling, Caller("rival", "shop"))
    assert not await held(throttling, Caller("acme", "other"))
    clock.now += timedelta(minutes=15)
    assert not await held(throttling)


async def test_a_held_end_user_is_refused_and_the_principals_others_are_not(
    throttling: Throttling,
) -> None:
    await throttling.hold(throttle(end_user="u1"))
    assert await held(throttling, end_user="u1")
    assert not await held(throttling, end_user="u2")
    assert not await held(throttling)


async def test_who_is_lifted_is_free_whichever_event_came_first(throttling: Throttling) -> None:
    await throttling.hold(throttle("a1"))
    await throttling.lift("acme", "a1")
    await throttling.lift("acme", "a2")
    await throttling.hold(throttle("a2"))
    await throttling.lift("rival", "a3")
    assert not await held(throttling)
    await throttling.hold(throttle("a3"))
    assert await held(throttling)


async def test_another_process_knows_after_a_restart(
    throttling: Throttling, throttles: Throttles, clock: Clock
) -> None:
    await throttling.hold(throttle())
    another = Throttling(throttles, pause=0.01, failed=print, clock=clock)
    assert await held(another)


async def test_the_caller_is_told_why_and_for_how_long(throttling: Throttling) -> None:
    await throttling.hold(throttle())
    await throttling.look()
    with pytest.raises(
        Throttled, match=r"until 2026-05-04 12:15:00 UTC because of a flood"
    ) as told:
        throttling.admit(CALLER, "")
    assert told.value.retry_after == 900


async def test_an_alert_on_the_bus_holds_its_principal_until_it_is_acknowledged(
    world: World, tmp_path: Path
) -> None:
    settings = Settings(grpc_address="127.0.0.1:0", metrics_port=0, stop_timeout=1)
    url = f"sqlite+aiosqlite:///{tmp_path}/inference.db"
    database = Database(url, metadata, migrations=MIGRATIONS)
    exchange = MemoryExchange()
    service = build(
        settings,
        search=world.search,
        vectors=world.vectors,
        model=world.model,
        database=database,
        bus=Bus(settings, "inference", database=database, link=MemoryLink(exchange)),
    )
    alert = AlertRaised(
        alert_id="a1", kind=AlertKind.ALERT_KIND_VOLUME, tenant="demo", principal="developer"
    )
    alert.until.FromDatetime(datetime.now(UTC) + timedelta(minutes=15))
    await service.start()
    try:
        assert service.rpc is not None
        port = service.rpc.port
        assert await refusal(port) is None
        for _ in range(2):  # at least once
            exchange.publish(compose(alert, tenant="demo", entity_id="a1", cause="x"))
        await exchange.settled()
        error = await changed(port)
        assert error is not None
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "an unusual number of requests" in (error.details() or "")
        assert 800 < retry_after(error) <= 900
        assert not records(exchange, "answer_failed")
        seen = AlertAcknowledged(alert_id="a1", principal="developer")
        exchange.publish(compose(seen, tenant="demo", entity_id="a1", cause="y"))
        await exchange.settled()
        assert await changed(port, held=True) is None
    finally:
        await service.stop()


def records(exchange: MemoryExchange, event: str) -> list[str]:
    return [one.subject for one in exchange.messages if event in one.subject]


async def refusal(port: int) -> grpc.aio.AioRpcError | None:
    """What a question is told; None where it is answered."""
    who = (("authorization", "Bearer gyre-dev-key"),)
    request = service_pb2.AnswerRequest(question=QUESTION)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = service_pb2_grpc.InferenceServiceStub(channel)
        try:
            assert [reply async for reply in stub.Answer(request, timeout=10, metadata=who)]
        except grpc.aio.AioRpcError as error:
            return error
    return None


async def changed(port: int, *, held: bool = False) -> grpc.aio.AioRpcError | None:
    """What is told as soon as it is something else; a process looks within a second."""
    for _ in range(100):
        told = await refusal(port)
        if (told is not None) is not held:
            break
        await asyncio.sleep(0.05)
    return told


def retry_after(error: grpc.aio.AioRpcError) -> float:
    packed: bytes = dict(error.trailing_metadata())["grpc-status-details-bin"]
    (detail,) = status_pb2.Status.FromString(packed).details
    found = error_details_pb2.RetryInfo()
    assert detail.Unpack(found)
    return found.retry_delay.ToTimedelta().total_seconds()
