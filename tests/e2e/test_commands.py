"""What the READMEs say to type works; exit codes and JSON are as documented."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from gyre_client import AnswerStarted, Document, Gyre, NotFoundError
from gyre_client.cli.app import app
from gyre_client.judgements import Metric
from gyre_demo.questions import KNOWLEDGE_BASE
from gyre_local.ports import free_port
from gyre_local.settings import REPOSITORY
from typer.testing import CliRunner

from tests.e2e.conftest import Command

PROMPT = """
name: greeting
arguments: [name]
user: "Greet {{ name }}."
"""
PAGES = ("README.md", "libs/client/README.md")
# A shell's background job ignores SIGINT, and so would what it starts. Not by `preexec_fn`: a fork
# that runs Python ends in gRPC's own fork handlers.
HEEDING_INTERRUPTS = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
ARTICLE = KNOWLEDGE_BASE / "tariffs" / "fair-use.md"
NOBODYS = "00000000-0000-4000-8000-000000000000"


def written(page: str, language: str) -> list[str]:
    text = (REPOSITORY / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def commands() -> Iterator[str]:
    """Every `gyre ...` of the pages' shell blocks."""
    for page in PAGES:
        for line in "\n".join(written(page, "sh")).splitlines():
            words = shlex.split(line, comments=True)
            if words and Path(words[0]).name == "gyre":
                yield shlex.join(words[1:])


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path
        return
    for name, child in children.items():
        yield from leaves(child, (*path, name))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the folders that the READMEs name."""
    for name in ("docs", "manuals"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.md").write_text(ARTICLE.read_text() + f"\nAbout {name}.\n")
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "greeting.yaml").write_text(PROMPT)
    return tmp_path


@pytest.fixture
async def answer_id(gyre: Gyre, demo: dict[str, Document]) -> str:
    """An answer that waits for review, beside the metric and the dataset that the READMEs name."""
    events = [event async for event in gyre.answer("What does roaming cost?")]
    started = events[0]
    assert isinstance(started, AnswerStarted)
    await gyre.feedback.declare(Metric("helpful", "boolean"))
    await gyre.evaluation.upload_dataset("questions", [{"question": "What is fair use?"}])
    await _known(lambda: gyre.reviews.add(started.answer_id))
    await _known(lambda: gyre.training.lineage("answer", started.answer_id))
    return started.answer_id


async def _known(ask: Callable[[], Awaitable[object]]) -> None:
    """Its record comes by the bus."""
    for _ in range(300):
        try:
            await ask()
        except NotFoundError:
            await asyncio.sleep(0.1)
        else:
            return
    raise AssertionError("the answer's record did not come")


@pytest.mark.parametrize("line", [one for one in commands() if "--watch" not in one])
def test_a_command_of_the_readmes_ends_well(
    line: str, home: Path, answer_id: str, command: Command
) -> None:
    typed = line.replace("~", str(home)).replace(" ID ", f" {answer_id} ")
    done = command(*shlex.split(typed), typed="right\nyes\n" * 10)
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.strip()


@pytest.mark.parametrize("line", [one for one in commands() if "--watch" in one])
def test_a_command_that_watches_stays_until_it_is_interrupted(
    line: str, home: Path, environment: dict[str, str]
) -> None:
    gyre = str(Path(sys.executable).parent / "gyre")
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HEEDING_INTERRUPTS,
            gyre,
            *shlex.split(line.replace("~", str(home))),
        ],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = next((one for one in process.stdout if "Watching" in one), "")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in (0, 130)
        assert said
    finally:
        process.kill()


def test_the_readmes_have_commands_to_try() -> None:
    assert len(list(commands())) >= 8


def test_the_clients_example_in_python_runs(
    environment: dict[str, str], home: Path, demo: dict[str, Document]
) -> None:
    (snippet,) = written("libs/client/README.md", "python")
    body = textwrap.indent(snippet, "    ")
    program = f"import asyncio\nasync def main():\n{body}\nasyncio.run(main())\n"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | {"GYRE_API_KEY": "key-of-globex"},
        capture_output=True,
        text=True,
        cwd=home,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("path", list(leaves(typer.main.get_command(app))), ids=" ".join)
def test_the_help_of_every_command_shows_an_example(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*path, "--help"])
    assert shown.exit_code == 0
    assert f"Example: gyre {' '.join(path)}" in " ".join(shown.output.split())


@pytest.mark.parametrize(
    "line", ["search roaming", "documents list", "ask 'Is it on?'", "status", "deadletters list"]
)
def test_a_platform_that_does_not_answer_is_exit_code_3(line: str, command: Command) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    names = ("INGESTION", "EMBEDDING", "RETRIEVAL", "INFERENCE")
    addresses = {f"GYRE_{name}_ADDRESS": nowhere for name in names}
    done = command(*shlex.split(line), GYRE_NATS_URL=f"nats://{nowhere}", **addresses)
    assert done.returncode == 3
    assert "make status" in done.stderr or "is the platform up?" in done.stderr


@pytest.mark.parametrize("line", [f"documents show {NOBODYS}", "deadletters show 999999999"])
def test_what_is_not_there_is_exit_code_4(line: str, command: Command) -> None:
    done = command(*shlex.split(line))
    assert (done.returncode, done.stdout) == (4, ""), done.stderr


def test_a_document_that_is_rejected_is_exit_code_1(command: Command, tmp_path: Path) -> None:
    (tmp_path / "photo.bin").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(64))
    done = command("ingest", "photo.bin", "--collection", "rejected")
    assert done.returncode == 1
    assert "unsupported_format" in done.stdout


def test_a_command_without_its_argument_is_exit_code_2(command: Command) -> None:
    assert command("search").returncode == 2


@pytest.mark.parametrize(
    "line",
    [
        "search 'fair use'",
        "documents list",
        "status",
        "deadletters list",
        "ask 'How much data may I use abroad?'",
        "ingest docs --collection json",
    ],
)
def test_json_is_one_value_per_line(
    line: str, home: Path, demo: dict[str, Document], command: Command
) -> None:
    done = command(*shlex.split(line), "--json")
    assert done.returncode == 0, done.stderr
    assert [json.loads(one) for one in done.stdout.splitlines()]


def test_a_document_is_shown_as_json(demo: dict[str, Document], command: Command) -> None:
    known = demo["tariffs/fair-use.md"]
    shown = json.loads(command("documents", "show", known.document_id, "--json").stdout)
    assert (shown["source_uri"], shown["state"]) == (known.source_uri, "indexed")
