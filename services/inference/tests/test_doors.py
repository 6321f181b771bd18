"""The doors of prompts, chains and experiments, over real gRPC and with the client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from gyre_client import ClientSettings, Gyre, InvalidError, NotAllowedError, NotFoundError
from gyre_client.chains import ChainDone, ChainStarted, StepDelta, StepDone, StepStarted
from gyre_client.errors import GyreError
from gyre_inference.adapters.tables import metadata
from gyre_inference.app import build
from gyre_inference.settings import Settings
from gyre_runtime.bus import Bus
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database
from gyre_runtime.settings import ApiKey
from inference_world import World, until

KEYS = {
    name: ApiKey(tenant=tenant, principal=name, roles=frozenset(roles))
    for name, tenant, roles in (
        ("reader", "acme", {"reader"}),
        ("writer", "acme", {"writer"}),
        ("stranger", "globex", {"reader", "writer"}),
    )
}
GREETING = {"system": "Be kind.", "user": "Greet {{ name }}.", "arguments": ["name"]}
ECHO = """# what is asked is said again
name: echo
inputs: {question: }
steps:
  - name: said
    generate: {messages: [{role: user, content: "{{ question }}"}]}
"""


class Doors:
    """One process and clients of it."""

    def __init__(self, port: int, exchange: MemoryExchange) -> None:
        self.port = port
        self.exchange = exchange

    @asynccontextmanager
    async def as_(self, key: str) -> AsyncIterator[Gyre]:
        settings = ClientSettings(inference_address=f"127.0.0.1:{self.port}", api_key=key)
        async with Gyre(settings) as gyre:
            yield gyre


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[Doors]:
    world = World()
    settings = Settings(grpc_address="127.0.0.1:0", metrics_port=0, stop_timeout=1, api_keys=KEYS)
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/inference.db", metadata)
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
    assert service.rpc is not None
    yield Doors(service.rpc.port, exchange)
    await service.stop()


async def test_a_prompt_is_registered_rendered_promoted_and_compared(doors: Doors) -> None:
    async with doors.as_("writer") as gyre:
        first = await gyre.prompts.register("greeting", GREETING, message="first")
        assert (first.is_new, first.version.version, first.version.author) == (True, 1, "writer")
        second = await gyre.prompts.register(
            "greeting",
            GREETING | {"parameters": {"temperature": 0.7, "stop": ["\n"]}},
            labels=["candidate"],
        )
        assert "+  temperature: 0.7" in second.diff
        number, messages = await gyre.prompts.render("greeting", {"name": "Ada"}, "candidate")
        assert (number, messages[-1].content) == (2, "Greet Ada.")
        _, move = await gyre.prompts.promote("greeting", "candidate", message="better")
        assert move is not None
        assert (move.from_version, move.to_version, move.message) == (1, 2, "better")
        _, again = await gyre.prompts.promote("greeting", "candidate")
        assert again is None
        shown, moves = await gyre.prompts.get("greeting")
        assert (shown.version, shown.labels) == (2, ("candidate", "production"))
        assert shown.content["parameters"]["stop"] == ["\n"]
        assert len(moves) == 3
        assert "+  temperature: 0.7" in await gyre.prompts.diff("greeting", "1", "2")
        assert [one.version async for one in gyre.prompts.list("greeting")] == [2, 1]
        names = [one.name async for one in gyre.prompts.list()]
        assert names == ["answer", "answer-free", "condense", "greeting"]


async def test_what_happens_to_prompts_is_on_the_bus(doors: Doors) -> None:
    async with doors.as_("writer") as gyre:
        await gyre.prompts.register("greeting", GREETING)
    await until(lambda: len(doors.exchange.messages) == 2)
    subjects = [message.subject for message in doors.exchange.messages]
    assert subjects == [
        "gyre.inference.v1.prompt_registered.acme",
        "gyre.inference.v1.prompt_promoted.acme",
    ]


async def test_readers_look_and_writers_change(doors: Doors) -> None:
    async with doors.as_("writer") as gyre:
        await gyre.prompts.register("greeting", GREETING)
    async with doors.as_("reader") as gyre:
        assert (await gyre.prompts.get("greeting"))[0].version == 1
        for refused in (
            gyre.prompts.register("greeting", GREETING),
            gyre.prompts.promote("greeting", "1"),
            gyre.chains.register(ECHO),
            gyre.experiments.stop("x"),
        ):
            with pytest.raises(NotAllowedError):
                await refused


async def test_one_tenant_does_not_see_anothers(doors: Doors) -> None:
    async with doors.as_("writer") as gyre:
        await gyre.prompts.register("greeting", GREETING)
        await gyre.chains.register(ECHO)
    async with doors.as_("stranger") as gyre:
        for hidden in (gyre.prompts.get("greeting"), gyre.chains.get("echo")):
            with pytest.raises(NotFoundError):
                await hidden
        with pytest.raises(NotFoundError):
            _ = [event async for event in gyre.chains.run("echo", {"question": "x"})]


async def test_what_is_wrong_is_told_by_field(doors: Doors) -> None:
    async with doors.as_("writer") as gyre:
        with pytest.raises(InvalidError) as refused:
            await gyre.prompts.register("greeting", GREETING | {"arguments": []})
        assert "arguments" in refused.value.violations
        with pytest.raises(InvalidError, match="colour"):
            await gyre.prompts.register("greeting", {"colour": "red"})
        with pytest.raises(InvalidError) as refused:
            await gyre.chains.register("name: x\nsteps: [{name: a, fly: {}}]")
        assert "steps[0]" in refused.value.violations


async def test_a_chain_is_run_and_its_steps_are_told(doors: Doors) -> None:
    async with doors.as_("writer") as gyre:
        assert (await gyre.chains.register(ECHO)).is_new
        assert not (await gyre.chains.register(ECHO)).is_new
        shown, _ = await gyre.chains.get("echo")
        assert shown.definition == ECHO
    async with doors.as_("reader") as gyre:
        events = [e async for e in gyre.chains.run("echo", {"question": "Say hello."})]
        kinds = list(dict.fromkeys(type(event) for event in events))
        assert kinds == [ChainStarted, StepStarted, StepDelta, StepDone, ChainDone]
        started, done = events[0], events[-1]
        assert isinstance(started, ChainStarted)
        assert isinstance(done, ChainDone)
        assert (done.text, done.finish_reason, done.usage.output_tokens) == (
            "Say hello.",
            "stop",
            2,
        )
        kept = await gyre.chains.get_run(started.chain_run_id)
        assert (kept.state, kept.chain, kept.answer_id) == ("done", "echo", started.answer_id)
        assert kept.steps[0].output["text"] == "Say hello."
        again = [
            e
            async for e in gyre.chains.run(
                "echo", {"question": "other"}, chain_run_id=started.chain_run_id
            )
        ]
        assert isinstance(again[-1], ChainDone)
        assert again[-1].text == "Say hello."
    async with doors.as_("stranger") as gyre:
        with pytest.raises(NotFoundError):
            await gyre.chains.get_run(started.chain_run_id)


async def test_an_experiment_is_started_listed_told_in_answers_and_stopped(doors: Doors) -> None:
    tone = {
        "experiment_id": "tone",
        "workload": "answer",
        "variants": [
            {"name": "plain", "weight": 0},
            {"name": "free", "weight": 1, "prompt_name": "answer-free"},
        ],
    }
    async with doors.as_("writer") as gyre:
        started = await gyre.experiments.start(tone)
        assert started["author"] == "writer"
        assert await gyre.experiments.start(tone) == started
        with pytest.raises(GyreError, match="another content"):
            await gyre.experiments.start(tone | {"message": "other"})
        with pytest.raises(GyreError, match="'tone' runs for 'answer'"):
            await gyre.experiments.start(tone | {"experiment_id": "pace"})
        assert [one["experiment_id"] async for one in gyre.experiments.list(running=True)] == [
            "tone"
        ]
        async with doors.as_("reader") as reader:
            answer = reader.answer("How many cents does every megabyte cost outside?")
            first = await anext(answer)
            assert (first.experiment, first.variant, first.prompt_name) == (
                "tone",
                "free",
                "answer-free",
            )
            await answer.aclose()
        assert "stop_time" in await gyre.experiments.stop("tone")
        assert [one async for one in gyre.experiments.list(running=True)] == []
