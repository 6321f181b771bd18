"""Rollouts over the neighbours in memory, and people who judge."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime

from gyre_inference.adapters.memory_rollouts import MemoryModelServer, MemoryModelShelf
from gyre_inference.domain.gates import Decision
from gyre_inference.domain.generation import Message
from gyre_inference.domain.record import AnswerRecord, Labels
from gyre_inference.domain.requests import Conversation, Question
from gyre_inference.domain.rollouts import (
    ANSWERED,
    CANDIDATE,
    CHAMPION,
    SECONDS,
    Observation,
    Pair,
    Plan,
    Rollout,
    RolloutKind,
    RolloutState,
)
from gyre_inference.domain.wishes import TrainedModel
from gyre_inference.ports import LanguageModel, Rollouts
from gyre_inference.use_cases import Done
from gyre_inference.use_cases.rollouts.driving import Driver, Hands, Patience
from gyre_inference.use_cases.rollouts.managing import Wanted
from gyre_inference.use_cases.rollouts.reconciling import Reconciler
from inference_world import CALLER, World

NEW = "llm-new"
PLAN = Plan(steps=(0.2, 0.5), minimum=20, shadow_share=1.0, shadow_pairs=20)
TO_NEW = Wanted(RolloutKind.MODEL, "", NEW, plan=PLAN, model_uri="new")
COST = Question("How many cents does every megabyte cost outside?")


def rollout(name: str = "gyre-reader", candidate: str = NEW, **facts: object) -> Rollout:
    known = Rollout(
        "rollout-1",
        "acme",
        RolloutKind.MODEL,
        name,
        name,
        candidate,
        datetime(2026, 5, 4, tzinfo=UTC),
        plan=PLAN,
        author="ada",
        message="why",
    )
    return replace(known, **facts)  # type: ignore[arg-type]


def trained(version: int = 1, name: str = "gyre-reader") -> TrainedModel:
    """As the registry has it."""
    made = datetime(2026, 5, 4, version, tzinfo=UTC)
    uri, content = f"/elsewhere/models/acme/{name}/training-{version}", f"{version:064}"
    return TrainedModel(name, version, uri, content, f"training-{version}", made)


def hands(rollouts: Rollouts, model: LanguageModel) -> Hands:
    """A server that has the champion, and a store that has the candidate."""
    server = MemoryModelServer({"gyre-reader"}, {"gyre-reader": "READY"})
    return Hands(rollouts, model, server, MemoryModelShelf(server, {"new": "1", "other": "2"}))


class RolloutWorld:
    """A world, its driver, and the model server behind it."""

    def __init__(self, world: World, patience: Patience | None = None) -> None:
        self.world = world
        world.model.models |= {NEW, f"{NEW}+legal"}
        self.hands = hands(world.rollouts, world.model)
        self.refresh = world.stories.in_force.refresh
        self.manage = world.stories.rollouts
        self.faults: list[Exception] = []
        self.driver = Driver(
            self.hands, self.refresh, patience or Patience(), failed=self.faults.append
        )

    @property
    def server(self) -> MemoryModelServer:
        assert isinstance(self.hands.server, MemoryModelServer)
        return self.hands.server

    async def start(self, wanted: Wanted = TO_NEW) -> str:
        return (await self.manage.start("acme", wanted, "ada")).rollout_id

    async def now(self, rollout_id: str) -> Rollout:
        return await self.world.rollouts.get("acme", rollout_id)

    async def until(self, rollout_id: str, state: RolloutState, *, deeds: int = 20) -> Rollout:
        """Deed by deed, with good judgements, until the state is reached."""
        for _ in range(deeds):
            known = await self.now(rollout_id)
            if known.state is state:
                return known
            await self.deed()
            await judge(self.world.rollouts, await self.now(rollout_id))
        raise AssertionError(f"{known.state} after {deeds} deeds: {self.faults}")

    def reconciler(
        self, own: frozenset[str] = frozenset(), *, drain: float = 0.0, patience: float = 60.0
    ) -> Reconciler:
        shelf, rollouts = self.hands.shelf, self.world.rollouts
        return Reconciler(rollouts, self.server, shelf, own, drain=drain, patience=patience)

    async def deed(self) -> None:
        await work(self.driver)

    async def ask(self, **labels: str) -> AnswerRecord:
        asked = replace(COST, labels=Labels(**labels))
        async with aclosing(self.world.answers.answer(asked, CALLER)) as told:
            done = [event async for event in told][-1]
        assert isinstance(done, Done)
        return done.record

    async def chat(self, **labels: str) -> AnswerRecord:
        asked = Conversation((Message("user", "Say hello."),), labels=Labels(**labels))
        async with aclosing(self.world.texts.generate(asked, CALLER)) as told:
            done = [event async for event in told][-1]
        assert isinstance(done, Done)
        return done.record


async def work(driver: Driver) -> None:
    """One look, and the deeds that it began."""
    await asyncio.gather(*await driver.look())


async def judge(
    rollouts: Rollouts, known: Rollout, candidate: float = 1.0, champion: float = 1.0
) -> None:
    """What makes a rollout go on; `candidate`, `champion`: shares of good judgements."""
    if known.state is RolloutState.GATING:
        await rollouts.gate_said("acme", known.rollout_id, Decision("gate-1", "pass"))
    if known.state is RolloutState.SHADOW:
        for place in range(60):
            outcome = 0 if place < 60 * candidate else -1
            await rollouts.pair("acme", known.rollout_id, Pair(f"a{place}", outcome, {}))
        await rollouts.observe(list(_seen(known, CHAMPION, SECONDS, [1.0] * 20)))
    if known.state is RolloutState.CANARY:
        for arm, share in ((CANDIDATE, candidate), (CHAMPION, champion)):
            good = [float(place < 150 * share) for place in range(150)]
            for metric in known.plan.metrics:
                await rollouts.observe(list(_seen(known, arm, metric, good)))
            await rollouts.observe(list(_seen(known, arm, ANSWERED, [1.0] * 150)))
            await rollouts.observe(list(_seen(known, arm, SECONDS, [0.5] * 150)))


def _seen(known: Rollout, arm: str, metric: str, values: Iterable[float]) -> Iterable[Observation]:
    for place, value in enumerate(values):
        yield Observation("acme", known.rollout_id, arm, metric, f"{arm}-{place}", value)
