"""The client: errors say what to do, commands explain themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gyre_client import (
    ClientSettings,
    Gyre,
    GyreError,
    InvalidError,
    Parameters,
    UnavailableError,
)
from gyre_client.cli.app import app
from gyre_client.cli.ingest import named_files
from gyre_client.cli.output import print_json
from gyre_client.models import DocumentState
from typer.main import get_command
from typer.testing import CliRunner

NOWHERE = "127.0.0.1:1"
# What they print is JSON lines, for a file or a pipe.
PRINT_JSON_LINES = {("review", "export"), ("eval", "datasets", "show")}


def commands(group=None, path=()):
    group = group or get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_every_command_explains_itself_with_an_example(path):
    shown = CliRunner().invoke(app, [*path, "--help"])
    assert shown.exit_code == 0
    assert "Example: gyre " + " ".join(path) in " ".join(shown.output.split())
    assert ("--json" in shown.output) is (path not in PRINT_JSON_LINES)


async def test_a_service_that_is_down_is_told_with_what_to_do():
    async with Gyre(ClientSettings(ingestion_address=NOWHERE, timeout=5)) as gyre:
        with pytest.raises(UnavailableError, match="make status"):
            await gyre.documents.get("d")


def test_a_command_without_a_platform_ends_with_three(monkeypatch):
    monkeypatch.setenv("GYRE_RETRIEVAL_ADDRESS", NOWHERE)
    monkeypatch.setenv("GYRE_TIMEOUT", "5")
    ended = CliRunner().invoke(app, ["search", "anything"])
    assert ended.exit_code == 3


def test_operators_are_told_that_the_bus_is_away(monkeypatch):
    monkeypatch.setenv("GYRE_NATS_URL", f"nats://{NOWHERE}")
    ended = CliRunner().invoke(app, ["deadletters", "list"])
    assert ended.exit_code == 3


def test_an_error_names_the_fields_that_are_wrong():
    error = InvalidError("INVALID_ARGUMENT", "not a document", {"source_uri": "is empty"})
    assert isinstance(error, GyreError)
    assert str(error) == "not a document\n  source_uri: is empty"


def test_files_are_named_after_their_folder_and_hidden_ones_are_left_out(tmp_path: Path):
    folder = tmp_path / "help"
    (folder / "roaming").mkdir(parents=True)
    (folder / "roaming" / "japan.md").touch()
    (folder / ".git").mkdir()
    (folder / ".git" / "config").touch()
    (tmp_path / "manual.pdf").touch()
    names = [name for _, name in named_files([folder, tmp_path / "manual.pdf"])]
    assert names == ["help/roaming/japan.md", "manual.pdf"]


def test_absent_parameters_are_left_to_the_prompt():
    message = Parameters(temperature=0.0).message()
    assert message.HasField("temperature")
    assert not message.HasField("max_tokens")


def test_a_state_is_settled_when_nothing_more_happens_by_itself():
    settled = {state for state in DocumentState if state.settled}
    assert settled == {DocumentState.INDEXED, DocumentState.REJECTED, DocumentState.DELETED}


def test_json_output_is_one_value_on_one_line(capsys):
    print_json({"parameters": Parameters(seed=1)})
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)["parameters"]["seed"] == 1
