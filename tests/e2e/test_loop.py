"""The loop closes itself: judgements become models that are promoted, refused or rolled back.

A smaller run of `make loop`, on a platform of its own: it has other settings, and changes what all
tenants search in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from gyre_client.models import AnswerStarted
from gyre_local.judging import ANSWER, DATASET, examples
from gyre_local.loop.material import Material, demo_material
from gyre_local.loop.people import Manner
from gyre_local.loop.setting import policy, settings_of_the_loop
from gyre_local.loop.show import at
from gyre_local.loop.story import (
    Company,
    Stage,
    embedding_turn,
    judged,
    language_turn,
    not_trained,
    rolled_out,
    set_up,
)
from gyre_local.loop.table import Turn
from gyre_local.platform import SERVICES
from gyre_local.promoting import promote
from gyre_local.settings import LocalSettings
from rich.console import Console

from tests.platform.running import TENANTS, RunningPlatform

CAREFUL, CARELESS = TENANTS
PROGRAMS = ("nats", "milvus", "triton", "provisioner", *SERVICES)
QUESTIONS = 24
PATIENCE = 600.0
# Two threads wait for each other where others use the cores: minutes for a step.
FEW = {"data.minimum_rows": "5", "limits.threads": "1"}
TINY = FEW | {"training.max_steps": "2"}
RUINED = FEW | {"training.max_steps": "8", "training.learning_rate": "1.0e-3"}


@pytest.fixture(scope="module")
def own_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    if not (LocalSettings().models_environment / "bin" / "python").exists():
        pytest.skip("needs the model server's environment: `make setup`")
    settings = settings_of_the_loop(CAREFUL, CARELESS, minimum=15)
    platform = RunningPlatform(
        tmp_path_factory.mktemp("loop") / "state", only=PROGRAMS, settings=settings
    )
    try:
        platform.start()
        yield platform
    finally:
        platform.stop()


@pytest.fixture(scope="module")
def material() -> Material:
    known = demo_material()
    return replace(
        known,
        learn=known.learn[:: len(known.learn) // QUESTIONS],
        held_back=known.held_back[:50],
        answered=known.answered[:40],
    )


@pytest.fixture
def stage() -> Stage:
    return Stage(Console(quiet=True), patience=PATIENCE)


@pytest.fixture
async def careful(own_platform: RunningPlatform, material: Material) -> AsyncIterator[Company]:
    async with at(own_platform.environment, CAREFUL, material) as company:
        yield company


@pytest.fixture
async def careless(own_platform: RunningPlatform, material: Material) -> AsyncIterator[Company]:
    async with at(own_platform.environment, CARELESS, material) as company:
        yield company


async def test_an_embedding_model_learns_from_judgements_and_is_switched_to(
    stage: Stage, careful: Company
) -> None:
    await set_up(stage, careful)
    await not_trained(stage, careful)
    assert [turn.outcome for turn in stage.turns] == ["not trained"]
    await judged(stage, careful, Manner.CAREFUL)
    turn = await embedding_turn(stage, careful, Turn("", ""), TINY)
    assert turn.outcome == "promoted", turn
    assert turn.gate.startswith("pass"), turn
    name, version = turn.candidate.split("/")
    await until(lambda: has_alias(careful, name, version, "champion"))
    assert await careful.gyre.search(careful.material.answered[0].question)


async def test_a_ruined_model_is_refused_and_one_that_a_blind_gate_passed_is_rolled_back(
    stage: Stage, careless: Company
) -> None:
    await set_up(stage, careless)
    await judged(stage, careless, Manner.CARELESS)
    refused, rollout = await language_turn(stage, careless, Turn("", ""), RUINED)
    assert refused.outcome == "refused", refused
    assert states(rollout)[-2:] == ["GATING", "ROLLED_BACK"]
    name, version = refused.candidate.split("/")
    await until(lambda: lacks_alias(careless, name, version))
    assert await answering(careless) == rollout["champion"]

    await careless.gyre.gates.declare(policy("answer-blind"))
    again = await careless.gyre.rollouts.start(
        "model",
        rollout["candidate"],
        name=rollout["name"],
        model_uri=rollout["model_uri"],
        plan={"gated": True},
    )
    turn = Turn(refused.candidate, "")
    ended = await rolled_out(stage, careless, turn, again)
    assert turn.outcome == "rolled back", turn
    assert states(ended)[-4:] == ["GATING", "SHADOW", "CANARY", "ROLLED_BACK"]
    assert turn.gate.startswith("pass")
    assert await answering(careless) == rollout["champion"]


async def test_the_demo_promotes_a_prompt_by_gate_shadow_and_canary(
    stage: Stage, careful: Company
) -> None:
    await set_up(stage, careful)
    gyre = careful.gyre
    await gyre.evaluation.upload_dataset(DATASET, examples())
    before = await prompt_in_use(careful)
    await promote(Console(quiet=True), gyre)
    rollout = await anext(gyre.rollouts.list())
    assert states(rollout)[-4:] == ["GATING", "SHADOW", "CANARY", "PROMOTED"]
    assert await prompt_in_use(careful) == before + 1


def states(rollout: Mapping[str, Any]) -> list[str]:
    """In which it was, in order."""
    return [str(one["to_state"]) for one in rollout["changes"]]


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await true():  # noqa: ASYNC110 - the platform is asked
            await asyncio.sleep(0.2)


async def has_alias(company: Company, name: str, version: str, alias: str) -> bool:
    return alias in (await company.gyre.training.model(name, version)).aliases


async def lacks_alias(company: Company, name: str, version: str) -> bool:
    return not (await company.gyre.training.model(name, version)).aliases


async def answering(company: Company) -> str:
    """Name on the model server of what answers now."""
    events = [one async for one in company.gyre.answer(company.material.answered[0].question)]
    started = next(one for one in events if isinstance(one, AnswerStarted))
    return started.model


async def prompt_in_use(company: Company) -> int:
    known, _ = await company.gyre.prompts.get(ANSWER)
    return known.version
