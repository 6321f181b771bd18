"""`make loop`, act by act."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from gyre_client import ClientSettings, Gyre
from pydantic import SecretStr
from rich.console import Console
from rich.rule import Rule

from gyre_local.loop.material import Material
from gyre_local.loop.people import Manner, People
from gyre_local.loop.records import listening
from gyre_local.loop.setting import CAREFUL, CARELESS, key_of, policy
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
from gyre_local.loop.table import Turn, table, write

Opened = AbstractAsyncContextManager[Company]
COLLECTION = "default"
TIMEOUT = 120.0  # seconds of a call, on a machine that does other things too


async def show(
    console: Console, environment: Mapping[str, str], material: Material, out: Path, began: float
) -> Stage:
    """environment: has the addresses. out: where the table goes, as JSON. began: on the monotonic
    clock."""
    stage = Stage(console)
    async with (
        at(environment, CAREFUL, material) as careful,
        at(environment, CARELESS, fewer(material)) as careless,
    ):
        try:
            await _acts(stage, careful, careless)
        finally:
            console.print(Rule("what became of each candidate", style="bold"))
            console.print(table(stage.turns))
            write(out, stage.turns, time.monotonic() - began)
            stage.say(f"{time.monotonic() - began:.0f} seconds; the same as data: {out}")
    return stage


def fewer(material: Material) -> Material:
    """Two of three questions to learn from: time is short, and carelessness is learnt quickly."""
    learn = [one for place, one in enumerate(material.learn) if place % 3 < 2]
    return replace(material, learn=learn)


async def _acts(stage: Stage, careful: Company, careless: Company) -> None:
    stage.act(
        f"two companies, {len(careful.material.files)} articles each ({careful.material.name})",
        f"{careful.people.name}: people read before they judge.",
        f"{careless.people.name}: people judge without reading: the last passage and the last",
        "sentence are always right. Its users later are like anybody's.",
        "All of them are simulated: their rule is computed from where the answer stands",
        "(docs/loop.md). What gates and users ask is never learnt from.",
    )
    for one in (careful, careless):
        await set_up(stage, one)
    await not_trained(stage, careful)
    stage.act("judgements")
    await judged(stage, careful, Manner.CAREFUL)
    await judged(stage, careless, Manner.CARELESS)
    stage.act(
        "an embedding model, learnt from careful judgements",
        "From here on nobody does anything: it is trained, put on the model server, indexed,",
        "compared with the index in use on held-back questions, and switched to.",
    )
    await embedding_turn(stage, careful, Turn("", ""))
    stage.act(
        "an embedding model, learnt from careless judgements",
        "The same recipe, the same policy: the gate refuses it, and searches stay as they were.",
    )
    await embedding_turn(stage, careless, Turn("", ""))
    stage.act(
        "a language model, learnt from careful judgements",
        "Gate, then a shadow (it answers unseen), then a canary: half of the users get its",
        "answers and say whether they helped.",
    )
    await language_turn(stage, careful, Turn("", ""))
    stage.act(
        "a language model, learnt from careless corrections",
        "The gate compares it with the model in use on held-back questions.",
    )
    refused, rollout = await language_turn(stage, careless, Turn("", ""))
    stage.act(
        "the same model under a policy that asks the wrong thing",
        "The policy is replaced by one that asks whether an answer stands in a document, and no",
        "more whether it answers the question: gyre gate declare policies/answer-blind.yaml.",
        "So the gate passes it, and so does the shadow, which looks at form. Users notice.",
    )
    await careless.gyre.gates.declare(policy("answer-blind"))
    turn = Turn(refused.candidate, "the same")
    stage.turns.append(turn)
    again = await careless.gyre.rollouts.start(
        "model",
        rollout["candidate"],
        name=rollout["name"],
        model_uri=rollout["model_uri"],
        plan={"gated": True},
        message="make loop: the policy was changed",
    )
    await rolled_out(stage, careless, turn, again)


def at(environment: Mapping[str, str], tenant: str, material: Material) -> Opened:
    """A tenant of the platform with these addresses."""
    addresses = {
        name.removeprefix("GYRE_").lower(): value
        for name, value in environment.items()
        if name.endswith("_ADDRESS")
    }
    key = SecretStr(key_of(tenant))
    settings = ClientSettings(_env_file=None, api_key=key, timeout=TIMEOUT, **addresses)  # type: ignore[arg-type]
    return _company(settings, environment["GYRE_NATS_URL"], tenant, material)


@asynccontextmanager
async def _company(
    settings: ClientSettings, bus: str, tenant: str, material: Material
) -> AsyncIterator[Company]:
    async with Gyre(settings) as gyre, listening(bus, tenant) as records:
        yield Company(gyre, People(gyre, records, COLLECTION, tenant), material, COLLECTION)


def addresses_in(file: Path) -> Mapping[str, str]:
    """Of `platform.env`."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)
