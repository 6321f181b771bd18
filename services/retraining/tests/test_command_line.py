"""`gyre train`, `gyre models` and `gyre lineage` over the real service, as a person uses them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gyre.retraining.v1.events_pb2 import ModelTrained
from gyre_client.cli.app import app
from typer.testing import CliRunner

sys.path.append(str(Path(__file__).parent))
from service_world import World, answered, running


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    # No policy of judgements: only a person starts a training here.
    async with running(tmp_path, policy={"minimum_judgements": 0}) as made:
        assert made.service.rpc is not None
        monkeypatch.setenv("GYRE_RETRAINING_ADDRESS", f"127.0.0.1:{made.service.rpc.port}")
        monkeypatch.setenv("GYRE_API_KEY", "key-acme")
        monkeypatch.setenv("COLUMNS", "200")
        yield made


async def gyre(*words: str) -> tuple[int, str]:
    """Exit code and what was printed."""
    ended = await asyncio.to_thread(CliRunner().invoke, app, list(words))
    return ended.exit_code, ended.output


async def test_judgements_become_a_model_that_is_shown_and_traced_from_both_ends(
    world: World,
) -> None:
    await world.judged(24)
    code, output = await gyre("train", "start", "tiny-kto", "--watch", "--reason", "to see")
    assert code == 0, output
    assert "model tiny/2" in output
    code, output = await gyre("models", "show", "tiny/candidate")
    assert code == 0, output
    assert "| Why | to see |" in output
    assert "Dataset `" in output

    (trained,) = await world.said(ModelTrained)
    event = answered(100)
    event.record.model_version = trained.model.content_hash
    world.say(event, "served")
    await world.exchange.settled(60)
    code, output = await gyre("lineage", "answer", "a-100", "--json")
    back = {(one["kind"], one["id"]) for one in json.loads(output)["nodes"]}
    assert {("model", "tiny/2"), ("answer", "a-3"), ("judgement", "shop:f-3")} <= back
    code, output = await gyre("lineage", "judgement", "shop:f-3", "--forward", "--json")
    forward = {(one["kind"], one["id"]) for one in json.loads(output)["nodes"]}
    assert {("model", "tiny/2"), ("answer", "a-100")} <= forward
    code, output = await gyre("lineage", "model", "tiny/2")
    assert "more of kind judgement" in output


async def test_what_is_not_there_or_not_possible_has_its_code(world: World) -> None:
    assert (await gyre("train", "show", "none"))[0] == 4
    assert (await gyre("models", "show", "none"))[0] == 4
    assert (await gyre("lineage", "answer", "none"))[0] == 4
    assert (await gyre("train", "start", "none"))[0] == 4
    code, output = await gyre("train", "start", "tiny-kto", "--set", "training.nothing=2")
    assert code == 1
    assert "overrides" in output
    code, output = await gyre("lineage", "thing", "none")
    assert code == 1
    assert "one of answer, model" in output
    code, output = await gyre("train", "start", "tiny-kto", "--watch")
    assert code == 1
    assert "too_few_rows" in output
