"""`gyre prompts`, `gyre chains` and `gyre experiments` against a process of the service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gyre_client.cli.app import app
from test_doors import ECHO, Doors, doors  # noqa: F401 - a fixture
from typer.testing import CliRunner

Gyre = Callable[..., Any]
GREETING = """# a comment
name: greeting
message: first
labels: [candidate]
arguments: [name]
user: Greet {{ name }}.
"""


@pytest.fixture
def gyre(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> Gyre:  # noqa: F811
    """Runs a command as a writer; its exit code and what it printed."""
    monkeypatch.setenv("GYRE_INFERENCE_ADDRESS", f"127.0.0.1:{doors.port}")
    monkeypatch.setenv("COLUMNS", "200")

    async def invoke(*words: str, key: str = "writer") -> tuple[int, str]:
        monkeypatch.setenv("GYRE_API_KEY", key)
        ended = await asyncio.to_thread(CliRunner().invoke, app, list(words))
        return ended.exit_code, ended.output

    return invoke


def lines(output: str) -> list[Any]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "prompts"
    (made / "team").mkdir(parents=True)
    (made / "team" / "greeting.yaml").write_text(GREETING)
    return made


async def test_a_folder_is_tried_applied_and_applied_again(gyre: Gyre, folder: Path) -> None:
    code, shown = await gyre("prompts", "apply", str(folder), "--dry-run")
    assert code == 0
    assert "greeting/1  new (not registered)" in shown
    assert "+user: Greet {{ name }}." in shown
    assert (await gyre("prompts", "show", "greeting"))[0] == 4
    code, shown = await gyre("prompts", "apply", str(folder), "--json")
    (applied,) = lines(shown)
    assert (code, applied["is_new"], applied["version"]["message"]) == (0, True, "first")
    assert applied["version"]["labels"] == ["candidate", "production"]
    _, shown = await gyre("prompts", "apply", str(folder))
    assert "greeting/1  unchanged" in shown


async def test_one_wrong_file_stops_all(gyre: Gyre, folder: Path) -> None:
    (folder / "wrong.yaml").write_text("name: wrong\nuser: '{{ undeclared }}'")
    code, shown = await gyre("prompts", "apply", str(folder))
    assert code == 1
    assert "wrong.yaml" in shown
    assert "must be those the templates use: undeclared" in shown
    assert "nothing was registered" in shown
    assert (await gyre("prompts", "show", "greeting"))[0] == 4


async def test_what_is_no_prompt_file_is_named(gyre: Gyre, folder: Path, tmp_path: Path) -> None:
    for text in ("- a list", "user: no name", "name: x\nuser: {", "name: x\ncolour: red"):
        (folder / "wrong.yaml").write_text(text)
        code, shown = await gyre("prompts", "apply", str(folder / "wrong.yaml"))
        assert code == 1
        assert "wrong.yaml" in shown
    empty = tmp_path / "empty"
    empty.mkdir()
    code, shown = await gyre("prompts", "apply", str(empty))
    assert (code, "no .yaml file" in shown) == (1, True)


async def test_a_changed_file_is_compared_promoted_and_taken_back(gyre: Gyre, folder: Path) -> None:
    await gyre("prompts", "apply", str(folder))
    file = folder / "team" / "greeting.yaml"
    file.write_text(GREETING.replace("Greet", "Warmly greet"))
    _, shown = await gyre("prompts", "apply", str(folder), "-m", "warmer")
    assert "candidate moved 1 -> 2" in shown
    _, shown = await gyre("prompts", "diff", "greeting", "production", "candidate")
    assert "+user: Warmly greet {{ name }}." in shown
    _, shown = await gyre("prompts", "render", "greeting", "-a", "name=Ada", "--version", "2")
    assert "Warmly greet Ada." in shown
    _, shown = await gyre("prompts", "promote", "greeting", "candidate", "-m", "liked")
    assert "production 1 -> 2 by writer: liked" in shown
    _, shown = await gyre("prompts", "promote", "greeting", "candidate")
    assert "points to greeting/2 already" in shown
    await gyre("prompts", "promote", "greeting", "1")
    _, shown = await gyre("prompts", "list", "greeting", "--json")
    (listed,) = lines(shown)
    assert [(one["version"], one["labels"]) for one in listed] == [
        (2, ["candidate"]),
        (1, ["production"]),
    ]
    _, shown = await gyre("prompts", "show", "greeting")
    assert "warmer" not in shown.splitlines()[3]
    assert "production 2 -> 1 by writer" in shown


async def test_a_chain_is_applied_and_run(gyre: Gyre, tmp_path: Path) -> None:
    (tmp_path / "echo.yaml").write_text("labels:\n  - candidate\n" + ECHO)
    code, shown = await gyre("chains", "apply", str(tmp_path / "echo.yaml"))
    assert (code, "echo/1  new" in shown) == (0, True)
    _, shown = await gyre("chains", "show", "echo")
    assert "# what is asked is said again" in shown
    assert "labels:" not in shown
    code, shown = await gyre("chains", "run", "echo", "-i", "question=Say hello.", key="reader")
    assert code == 0
    assert "said  generate" in shown
    assert "Say hello." in shown
    _, shown = await gyre("chains", "run", "echo", "-i", "question=x", "--json", key="reader")
    events = lines(shown)
    assert [events[0]["event"], events[-1]["event"]] == ["ChainStarted", "ChainDone"]
    code, shown = await gyre("chains", "show-run", events[0]["chain_run_id"])
    assert (code, "echo/1  done" in shown) == (0, True)
    code, shown = await gyre("chains", "run", "echo", key="reader")
    assert (code, "inputs.question: is missing" in shown) == (1, True)


async def test_an_experiment_is_started_from_a_file(gyre: Gyre, tmp_path: Path) -> None:
    file = tmp_path / "tone.yaml"
    file.write_text(
        "experiment_id: tone\nworkload: answer\nvariants:\n"
        "  - {name: plain, weight: 3}\n  - {name: free, weight: 1, prompt_name: answer-free}\n"
    )
    code, shown = await gyre("experiments", "start", str(file))
    assert (code, "plain 3, free 1" in shown) == (0, True)
    assert "tone" in (await gyre("experiments", "list", "--running"))[1]
    assert (await gyre("experiments", "stop", "tone"))[0] == 0
    assert "tone" not in (await gyre("experiments", "list", "--running"))[1]
    file.write_text("experiment_id: tone\ncolour: red\n")
    code, shown = await gyre("experiments", "start", str(file))
    assert (code, "colour" in shown) == (1, True)


async def test_prompts_are_mirrored_in_mlflow_and_again(
    gyre: Gyre, folder: Path, tmp_path: Path
) -> None:
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    await gyre("prompts", "apply", str(folder))
    file = folder / "team" / "greeting.yaml"
    file.write_text(GREETING.replace("Greet", "Warmly greet"))
    await gyre("prompts", "apply", str(folder))
    for _ in range(2):
        code, shown = await gyre("prompts", "mirror", uri)
        assert (code, "greeting: 2 versions" in shown) == (0, True)
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    candidate = client.get_prompt_version_by_alias("greeting", "candidate")
    assert candidate.template == [{"role": "user", "content": "Warmly greet {{ name }}."}]
    assert candidate.tags["gyre.version"] == "2"
    production = client.get_prompt_version_by_alias("greeting", "production")
    assert production.tags["gyre.version"] == "1"
