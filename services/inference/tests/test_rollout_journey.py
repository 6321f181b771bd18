"""A candidate on the real Triton: loaded, shown to a few, promoted; another one is taken back.

The users are simulated: they judge by the name of the model that answered, after a rule."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from gyre.feedback.v1.events_pb2 import FeedbackRecorded
from gyre.inference.v1 import events_pb2
from gyre_client import AnswerDone, AnswerStarted, ChatMessage, ClientSettings, Gyre, Parameters
from gyre_inference.adapters.memory_rollouts import MemoryModelServer
from gyre_inference.adapters.tables import MIGRATIONS, metadata
from gyre_inference.adapters.triton import triton_at
from gyre_inference.adapters.triton_control import TritonModelServer
from gyre_inference.app import build
from gyre_inference.domain.faults import Conflict, Unavailable
from gyre_inference.ports import ModelServer
from gyre_inference.settings import Settings
from gyre_runtime.bus import Bus, subject_of
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database
from gyre_runtime.events.compose import compose
from inference_world import World

if TYPE_CHECKING:
    from gyre_local.triton import TritonServer

ENVIRONMENT = Path(__file__).parents[3] / ".venv-models"
CHAMPION, BETTER, WORSE = "gyre-tiny", "llm-better", "llm-worse"
SPARE = "llm-spare"
LIKED = {CHAMPION: 5, BETTER: 9, WORSE: 1}  # of ten
PLAN = {
    "steps": [0.3, 0.6],
    "minimum": 10,
    "margin": 0.4,
    "shadow_share": 1.0,
    "shadow_pairs": 10,
}
PATIENCE = 180.0
KEY = "secret-key"
PROGRAM = (str(ENVIRONMENT / "bin" / "python"), "-m", "gyre_models")
PLACE = (*PROGRAM, "materialise", "--engine", "torch", "--set", "slots=4")


@dataclass
class Stage:
    """The service, its bus, the model server, and a client."""

    gyre: Gyre
    exchange: MemoryExchange
    triton: TritonServer
    users: int = 0

    async def ask(self) -> None:
        """A new user asks, and judges."""
        self.users += 1
        user = f"user-{self.users}"
        told = self.gyre.generate(
            [ChatMessage("user", "Is the router connected?")],
            end_user=user,
            parameters=Parameters(max_tokens=4),
        )
        events = [event async for event in told]
        started = events[0]
        assert isinstance(started, AnswerStarted)
        assert isinstance(events[-1], AnswerDone)
        if started.experiment:
            self._judge(started, user)

    def _judge(self, started: AnswerStarted, user: str) -> None:
        event = FeedbackRecorded()
        event.feedback.metric = "helpful"
        event.feedback.value.boolean = self.users * 7 % 10 < LIKED[started.model]
        event.answer.answer_id = started.answer_id
        event.answer.end_user = user
        event.answer.experiment = started.experiment
        event.answer.variant = started.variant
        said = compose(event, tenant="demo", entity_id=started.answer_id, cause=user)
        self.exchange.publish(said)

    async def ended(self, rollout: Any) -> Any:
        """Users come until the rollout is over."""
        async with asyncio.timeout(PATIENCE):
            while True:
                now = await self.gyre.rollouts.get(rollout["rollout_id"])
                if now["state"] in ("PROMOTED", "ROLLED_BACK"):
                    return now
                await asyncio.gather(*(self.ask() for _ in range(4)))

    async def answers_with(self, model: str) -> None:
        """What was decided is in force a moment later."""
        async with asyncio.timeout(PATIENCE):
            while await self._answering() != model:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.05)

    async def _answering(self) -> str:
        told = self.gyre.generate(
            [ChatMessage("user", "Hello")], parameters=Parameters(max_tokens=2)
        )
        events = [event async for event in told]
        assert isinstance(events[0], AnswerStarted)
        return events[0].model

    async def gone(self, name: str) -> None:
        """As soon as the model server has let go of it."""
        control = self.triton.control()
        async with asyncio.timeout(PATIENCE):
            while control.states()[name] != "UNAVAILABLE":  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.1)
        control.close()

    def said(self, event: str) -> list[Any]:
        kind = getattr(events_pb2, event)
        subject = subject_of(kind, "demo")
        found = [one for one in self.exchange.messages if one.subject == subject]
        return [kind.FromString(one.data) for one in found]


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """A tiny random model in force, and two more of it in the model store."""
    if not ENVIRONMENT.exists():
        pytest.skip("no model environment (.venv-models)")
    from gyre_local.triton import TritonServer, TritonSettings

    state = tmp_path_factory.mktemp("rollout")
    settings = TritonSettings(ENVIRONMENT, state / "server", admin_key=KEY)
    server = TritonServer(settings)
    subprocess.run([*PROGRAM, "tiny", state / "store" / "first"], check=True, timeout=300)
    for name in ("better", "worse"):
        shutil.copytree(state / "store" / "first", state / "store" / name)
    where = ["--model-dir", state / "store" / "first", "--repository", server.repository]
    for name in (CHAMPION, SPARE):
        subprocess.run([*PLACE, *where, "--name", name], check=True, timeout=300)
    with server:
        control = server.control()
        control.load(CHAMPION)
        control.close()
        yield server


@asynccontextmanager
async def service(triton: TritonServer, folder: Path) -> AsyncIterator[Stage]:
    settings = Settings(
        grpc_address="127.0.0.1:0",
        metrics_port=0,
        stop_timeout=1,
        triton_address=triton.address,
        triton_admin_key=KEY,
        language_model=CHAMPION,
        models=triton.repository.parents[1] / "store",
        triton_repository=triton.repository,
        materialise_command=PLACE,
        rollout_poll=0.1,
        rollout_drain=0.5,
        reconcile_poll=0.2,
        grpc_tenant_rate=10_000,
    )
    world = World()
    url = f"sqlite+aiosqlite:///{folder}/inference.db"
    database = Database(url, metadata, migrations=MIGRATIONS)
    exchange = MemoryExchange()
    bus = Bus(settings, "inference", database=database, link=MemoryLink(exchange))
    started = build(
        settings, search=world.search, vectors=world.vectors, database=database, bus=bus
    )
    await started.start()
    try:
        assert started.rpc is not None
        address = f"127.0.0.1:{started.rpc.port}"
        async with Gyre(ClientSettings(inference_address=address)) as gyre:
            yield Stage(gyre, exchange, triton)
    finally:
        await started.stop()


@pytest.fixture(params=["memory", "triton"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[ModelServer]:
    if request.param == "memory":
        yield MemoryModelServer({CHAMPION, SPARE}, {CHAMPION: "READY"})
        return
    started: TritonServer = request.getfixturevalue("triton")
    async with triton_at(started.address) as connection:
        yield TritonModelServer(connection, admin_key=KEY)


async def test_a_model_server_loads_and_lets_go_and_again(server: ModelServer) -> None:
    states = await server.states()
    assert (states[CHAMPION], states[SPARE]) == ("READY", "")
    for _ in range(2):
        await server.load(SPARE)
    assert (await server.states())[SPARE] == "READY"
    for _ in range(2):
        await server.unload(SPARE)
    async with asyncio.timeout(PATIENCE):
        while (await server.states())[SPARE] != "UNAVAILABLE":  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.1)


async def test_a_model_server_refuses_what_it_does_not_have(server: ModelServer) -> None:
    with pytest.raises(Conflict):
        await server.load("llm-nowhere")


async def test_without_its_key_or_without_triton_nothing_is_loaded(triton: TritonServer) -> None:
    for address in (triton.address, "127.0.0.1:1"):
        async with triton_at(address) as connection:
            with pytest.raises(Unavailable):
                await TritonModelServer(connection).load(SPARE)


async def test_one_candidate_goes_to_everybody_and_another_one_is_taken_back(
    triton: TritonServer, tmp_path: Path
) -> None:
    async with service(triton, tmp_path) as stage:
        begun = await stage.gyre.rollouts.start(
            "model", BETTER, name=CHAMPION, workload="generate", model_uri="better", plan=PLAN
        )
        promoted = await stage.ended(begun)
        states = [change["to_state"] for change in promoted["changes"]]
        assert promoted["state"] == "PROMOTED", promoted["changes"][-1]
        assert states == ["LOADING", "PROBING", "SHADOW", "CANARY", "CANARY", "PROMOTED"]
        await stage.answers_with(BETTER)

        begun = await stage.gyre.rollouts.start(
            "model", WORSE, name=CHAMPION, workload="generate", model_uri="worse", plan=PLAN
        )
        assert begun["champion"] == BETTER
        back = await stage.ended(begun)
        assert back["state"] == "ROLLED_BACK"
        assert "feedback.helpful" in back["changes"][-1]["reason"]
        await stage.answers_with(BETTER)
        await stage.gone(WORSE)
        control = triton.control()
        assert {name for name in (CHAMPION, BETTER) if control.states()[name] == "READY"} == {
            CHAMPION,
            BETTER,
        }
        control.close()
    (one,) = stage.said("ModelPromoted")
    assert (one.rollout.candidate, one.previous) == (BETTER, CHAMPION)
    assert one.rollout.changes[-1].evidence.metrics
    (one,) = stage.said("ModelRolledBack")
    assert (one.rollout.candidate, one.was_promoted) == (WORSE, False)
