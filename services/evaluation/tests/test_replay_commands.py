"""`gyre replay` as a person uses it, and docs/replay.md."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gyre_client.cli.app import app
from offline_world import ANSWERS
from replay_world import REFUSAL, Past, remembering
from typer.testing import CliRunner

PAGE = (Path(__file__).parents[3] / "docs" / "replay.md").read_text()
COMMANDS = [line for line in PAGE.splitlines() if line.startswith("gyre replay")]


@pytest.fixture
async def past(tmp_path: Path) -> AsyncIterator[Past]:
    async with remembering(tmp_path) as one:
        await one.heard_all()
        yield one


async def gyre(past: Past, *words: str | Path) -> tuple[int, str]:
    """Exit code and what was printed."""
    assert past.world.service.rpc is not None
    where = {
        "GYRE_EVALUATION_ADDRESS": f"127.0.0.1:{past.world.service.rpc.port}",
        "GYRE_API_KEY": "key-acme",
        "COLUMNS": "160",
    }
    words = ("replay", *words)
    ended = await asyncio.to_thread(CliRunner().invoke, app, list(map(str, words)), env=where)
    return ended.exit_code, ended.output


async def test_a_replay_is_started_watched_listed_and_reported(past: Past, tmp_path: Path) -> None:
    page = tmp_path / "replay.html"
    code, output = await gyre(
        past, "start", "--model", "other", "-m", "groundedness", "--report", page
    )
    assert code == 0, output
    assert "not worse" in output
    assert "30 answers, 0 without a new one, 0 with another text" in output
    assert page.read_text().startswith("<!doctype html>")
    code, listed = await gyre(past, "list", "--json")
    (replay,) = json.loads(listed)
    assert (code, replay["state"], replay["title"]) == (0, "succeeded", "other")
    code, output = await gyre(past, "watch", replay["replay_id"])
    assert code == 0, output
    facts = tmp_path / "replay.json"
    assert (await gyre(past, "report", replay["replay_id"], "--output", facts))[0] == 0
    assert json.loads(facts.read_text())["counts"]["compared"] == 30
    assert (await gyre(past, "cancel", replay["replay_id"]))[0] == 0


async def test_the_exit_code_says_that_something_is_worse(past: Past) -> None:
    past.world.targets.answers = dict.fromkeys(ANSWERS, REFUSAL)
    words = ["start", "--prompt", "shy", "-m", "groundedness", "-m", "answer_relevance"]
    code, output = await gyre(past, *words)
    assert code == 5, output
    assert "30 gained" in output
    few, output = await gyre(past, "start", "--limit", "5", "-m", "groundedness")
    assert few == 6, output
    assert (await gyre(past, "start", "--language", "fr"))[0] == 1
    assert (await gyre(past, "watch", "nothing"))[0] == 4
    assert (await gyre(past, "start", "--to-collection", "x"))[0] == 2


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_page_is_one(line: str) -> None:
    _, *words = shlex.split(line, comments=True)
    found = CliRunner().invoke(app, [*words, "--help"])
    assert found.exit_code == 0, found.output
    options = set(re.findall(r"--[a-z-]+", line))
    assert all(option in found.output for option in options), found.output


def test_the_page_has_commands() -> None:
    assert len(COMMANDS) >= 6
