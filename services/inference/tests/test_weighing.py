"""Experiments whose shares follow judgements: kept alike by both adapters, and through the service
with its bus, two processes, withdrawals and a restart."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from gyre.feedback.v1.events_pb2 import FeedbackQuarantined, FeedbackRecorded, FeedbackWithdrawn
from gyre.inference.v1 import events_pb2
from gyre_client import AnswerStarted, ChatMessage
from gyre_client.cli.app import app
from gyre_client.errors import NotFoundError
from gyre_inference.adapters.tables import metadata
from gyre_inference.app import build
from gyre_inference.domain.allocation import Allocation
from gyre_inference.domain.experiments import Experiment, StickyBy, Variant
from gyre_inference.domain.record import Labels
from gyre_inference.domain.rollouts import Doubt, Observation
from gyre_inference.domain.sequential import Arm
from gyre_inference.settings import Settings
from gyre_inference.use_cases.weighing import Weigher
from gyre_runtime.bus import Bus
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database
from gyre_runtime.events.compose import compose
from inference_world import World
from test_doors import KEYS, Doors
from test_rollout_stores import Store, store  # noqa: F401 - a fixture
from typer.testing import CliRunner

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
ALLOCATION = Allocation("feedback.helpful", minimum=3)
TONE = Experiment("tone", "answer", (Variant("good", 1), Variant("poor", 1)), allocation=ALLOCATION)
WANTED = {
    "experiment_id": "tone",
    "workload": "generate",
    "sticky_by": "end_user",
    "variants": [{"name": "good", "weight": 1}, {"name": "poor", "weight": 1}],
    "allocation": {"method": "thompson", "metric": "feedback.helpful"},
}
RATES = {"good": 0.8, "poor": 0.5}
PATIENCE = 60.0


def seen(variant: str, unit: str, value: float, metric: str = "feedback.helpful") -> Observation:
    return Observation("acme", "tone", variant, metric, unit, value, f"feedback-{variant}-{unit}")


async def judge(store: Store, good: int = 4, poor: int = 4) -> None:  # noqa: F811
    for variant, count, value in (("good", good, 1.0), ("poor", poor, 0.0)):
        for n in range(count):
            await store.experiments.observe([seen(variant, f"u{n}", value)])


async def test_judgements_count_once_and_only_where_they_belong(
    store: Store,  # noqa: F811
) -> None:
    await store.experiments.observe([seen("good", "early", 1.0)])
    await store.experiments.start("acme", TONE)
    await store.experiments.start("globex", replace(TONE, allocation=None))
    for value in (1.0, 0.0):
        await store.experiments.observe([seen("good", "u1", value)])
        await store.experiments.observe([seen("poor", "u1", value)])
    await store.experiments.observe([seen("other", "u2", 1.0)])
    await store.experiments.observe([seen("good", "u3", 1.0, "evaluation.helpful")])
    await store.experiments.observe([seen("good", "u4", 7.0)])
    await store.experiments.observe([replace(seen("good", "u5", 1.0), tenant="globex")])
    assert await store.experiments.sums("acme", "tone") == {"good": Arm(1, 1), "poor": Arm(1, 1)}
    assert await store.experiments.sums("globex", "tone") == {}
    assert [tenant for tenant, _ in await store.experiments.adaptive()] == ["acme"]


async def test_what_is_withdrawn_counts_no_more_in_any_order(store: Store) -> None:  # noqa: F811
    first, second = "feedback-good-u1", "feedback-good-u2"
    await store.rollouts.doubt("acme", Doubt(first, 1, 0, counts=False))  # nothing counts yet
    await store.experiments.start("acme", TONE)
    await store.rollouts.doubt("acme", Doubt(second, 2, 2, counts=False))
    await store.experiments.observe([seen("good", "u1", 1.0), seen("good", "u2", 1.0)])
    assert await store.experiments.sums("acme", "tone") == {"good": Arm(1, 1)}
    await store.rollouts.doubt("acme", Doubt(second, 3, 1, counts=True))
    assert await store.experiments.sums("acme", "tone") == {"good": Arm(2, 2)}


async def test_shares_are_kept_said_and_numbered(store: Store) -> None:  # noqa: F811
    await store.experiments.start("acme", TONE)
    await judge(store)
    before = await store.registry.revision()
    known = await store.experiments.get("acme", "tone")
    moved = known.reweighted(await store.experiments.sums("acme", "tone"), NOW)
    assert moved is not None
    assert await store.experiments.reweigh("acme", "tone", moved)
    assert not await store.experiments.reweigh("acme", "tone", moved)  # another process's
    ((_, after),) = await store.experiments.changes(before)
    assert after == replace(known, weighing=moved)
    assert after.shares["good"] > 0.9
    assert await store.experiments.start("acme", TONE) == after
    stopped = await store.experiments.stop("acme", "tone", "ada")
    assert stopped.weighing is not None
    assert (stopped.weighing.number, stopped.shares) == (2, after.shares)
    assert [one.count for one in stopped.weighing.variants] == [4, 4]
    history = await store.experiments.weighings("acme", "tone", 10)
    assert list(history) == [stopped.weighing, moved]
    assert await store.experiments.sums("acme", "tone") == {}
    await judge(store)
    assert await store.experiments.sums("acme", "tone") == {}
    assert not await store.experiments.reweigh("acme", "tone", replace(moved, number=3))


async def test_of_processes_that_look_at_once_one_moves_the_shares(
    store: Store,  # noqa: F811
) -> None:
    await store.experiments.start("acme", TONE)
    await judge(store)
    changes: list[None] = []

    async def changed() -> None:
        changes.append(None)

    weighers = [Weigher(store.experiments, changed, pause=3600) for _ in range(3)]
    await asyncio.gather(*(weigher.look() for weigher in weighers))
    assert len(changes) == 1
    await judge(store, good=40, poor=40)
    for weigher in weighers:
        await weigher.look()  # the pause is not over
    assert len(await store.experiments.weighings("acme", "tone", 10)) == 1


class Stage:
    """Processes of the service over one database and one bus, and people who judge."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.exchange = MemoryExchange()
        self.chance = random.Random(20260504)
        self.people = 0
        self.given: list[FeedbackRecorded] = []

    @asynccontextmanager
    async def process(self) -> AsyncIterator[Doors]:
        world = World()
        settings = Settings(
            grpc_address="127.0.0.1:0",
            metrics_port=0,
            stop_timeout=1,
            api_keys=KEYS,
            experiment_pause=0.05,
        )
        database = Database(f"sqlite+aiosqlite:///{self.folder}/inference.db", metadata)
        link = MemoryLink(self.exchange)
        service = build(
            settings,
            search=world.search,
            vectors=world.vectors,
            model=world.model,
            database=database,
            bus=Bus(settings, "inference", database=database, link=link),
        )
        await service.start()
        try:
            assert service.rpc is not None
            yield Doors(service.rpc.port, self.exchange)
        finally:
            await service.stop()

    async def judged(self, shares: Any, count: int, rates: dict[str, float]) -> None:
        """People who were answered at these shares."""
        for _ in range(count):
            self.people += 1
            names = [one["name"] for one in shares]
            (variant,) = self.chance.choices(names, [one["share"] for one in shares])
            event = FeedbackRecorded()
            event.feedback.metric = "helpful"
            event.feedback.feedback_id = f"feedback-{self.people}"
            event.feedback.value.boolean = self.chance.random() < rates[variant]
            event.answer.answer_id = f"answer-{self.people}"
            event.answer.end_user = f"user-{self.people}"
            event.answer.experiment, event.answer.variant = "tone", variant
            self.given.append(event)
            self.say(event)
        await self.exchange.settled()

    def say(self, event: Any) -> None:
        self.exchange.publish(compose(event, tenant="acme", entity_id="it", cause=str(event)))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def known(doors: Doors) -> Any:
    async with doors.as_("reader") as gyre:
        return await gyre.experiments.get("tone")


async def until(doors: Doors, holds: Callable[[dict[str, float]], bool]) -> Any:
    """As soon as it holds of the shares in force."""
    return await _seen(doors, lambda found: holds(shares(found["known"])))


async def settled(doors: Doors) -> Any:
    """As soon as judgements move the shares no more."""
    return await _seen(
        doors,
        lambda found: all(
            abs(0.05 + 0.9 * one.get("best", 0) - one["share"]) < 0.009
            for one in found["known"]["variants"]
        ),
    )


async def _seen(doors: Doors, holds: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(PATIENCE):
        while not holds(found := await known(doors)):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.02)
    return found


def shares(weighing: Any) -> dict[str, float]:
    return {one["name"]: one["share"] for one in weighing["variants"]}


def sides_of(weighing: Any) -> list[str]:
    """Which variant twenty people belong to."""
    variants = tuple(Variant(name, share) for name, share in shares(weighing).items())
    split = Experiment("tone", "generate", variants, StickyBy.END_USER)
    return [split.variant_for(Labels(end_user=f"u{n}"), "").name for n in range(20)]


async def answers(doors: Doors, sides: list[str]) -> None:
    """The process comes to answer each as it should."""

    async def side(n: int) -> str:
        told = gyre.generate([ChatMessage("user", "Hello")], end_user=f"u{n}")
        started, *_ = [event async for event in told]
        assert isinstance(started, AnswerStarted)
        return started.variant

    async with doors.as_("reader") as gyre, asyncio.timeout(PATIENCE):
        while [await side(n) for n in range(20)] != sides:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.02)


def reweighted(stage: Stage) -> Iterator[events_pb2.ExperimentReweighted]:
    for one in stage.exchange.messages:
        if "experiment_reweighted" in one.subject:
            yield events_pb2.ExperimentReweighted.FromString(one.data)


async def test_the_better_variant_gets_most_and_a_flood_is_taken_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(stage.process())
        second = await stack.enter_async_context(stage.process())
        async with first.as_("writer") as gyre:
            await gyre.experiments.start(WANTED)
        begun = await known(first)
        assert "weighings" not in begun
        await stage.judged(begun["known"]["variants"], 60, {"good": 0.0, "poor": 1.0})
        await until(second, lambda now: now["poor"] > 0.9)
        flood = stage.given.copy()
        for place, event in enumerate(flood):
            out = (FeedbackQuarantined, FeedbackWithdrawn)[place % 2]
            stage.say(out(feedback_id=event.feedback.feedback_id, revision=2))
        await stage.exchange.settled()
        cleared = await until(first, lambda now: now == {"good": 0.5, "poor": 0.5})
        assert all("count" not in one for one in cleared["known"]["variants"])
        while shares(now := (await known(first))["known"])["good"] <= 0.9:
            assert stage.people < 660
            await stage.judged(now["variants"], 40, RATES)
        agreed = await settled(second)
        assert min(shares(agreed["known"]).values()) >= 0.05 - 1e-9
        assert {one.experiment.weighing.number for one in reweighted(stage)} >= {1, 2, 3}
        sides = sides_of(agreed["known"])
        assert sides.count("good") > 14
        for process in (first, second):
            await answers(process, sides)
    async with stage.process() as again:
        assert shares((await known(again))["known"]) == shares(agreed["known"])
        await answers(again, sides)
        await _shown(again, monkeypatch)
        async with again.as_("writer") as gyre:
            stopped = await gyre.experiments.stop("tone")
            assert [int(one["count"]) > 0 for one in stopped["weighing"]["variants"]] == [True] * 2
        assert (await known(again))["known"] == stopped["weighing"]
        async with again.as_("stranger") as gyre:
            with pytest.raises(NotFoundError):
                await gyre.experiments.get("tone")
    records = [
        events_pb2.AnswerGenerated.FromString(one.data).record
        for one in stage.exchange.messages
        if "answer_generated" in one.subject
    ]
    told = [one.variant_share for one in records if one.variant]
    assert told
    assert min(told) > 0


async def test_of_equal_variants_neither_falls_below_the_floor(stage: Stage) -> None:
    async with stage.process() as doors:
        async with doors.as_("writer") as gyre:
            await gyre.experiments.start(WANTED)
        for _ in range(3):
            now = (await known(doors))["known"]["variants"]
            await stage.judged(now, 60, {"good": 0.6, "poor": 0.6})
        found = await known(doors)
    everything = [found["known"], *found.get("weighings", ())]
    assert min(share for one in everything for share in shares(one).values()) >= 0.05 - 1e-9


async def _shown(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GYRE_INFERENCE_ADDRESS", f"127.0.0.1:{doors.port}")
    monkeypatch.setenv("GYRE_API_KEY", "reader")
    monkeypatch.setenv("COLUMNS", "200")
    ended = await asyncio.to_thread(CliRunner().invoke, app, ["experiments", "show", "tone"])
    assert ended.exit_code == 0, ended.output
    assert "thompson on feedback.helpful, at least 5% each, after 20" in ended.output
    assert "judgements" in ended.output
    assert "█" in ended.output
