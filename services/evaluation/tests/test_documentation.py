"""What docs/evaluation.md says can be done, can be done."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from pathlib import Path

import pytest
from gyre_client.cli.app import app
from gyre_client.evaluation import example_message
from gyre_evaluation.domain.metrics.catalogue import RULES
from gyre_evaluation.domain.rubrics import JUDGED
from offline_world import running
from typer.testing import CliRunner

PAGE = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text()
COMMANDS = sorted(
    {
        line.removeprefix("- run: ").strip()
        for line in PAGE.splitlines()
        if line.removeprefix("- run: ").startswith("gyre eval")
    }
    | set(re.findall(r"`(gyre eval [^`]+)`", PAGE))
)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_page_is_one(line: str) -> None:
    _, *words = shlex.split(line, comments=True)
    found = CliRunner().invoke(app, [*words, "--help"])
    assert found.exit_code == 0, found.output
    assert "Example: gyre eval" in found.output or words[-1] in ("datasets", "eval")


def test_the_example_of_a_line_is_one() -> None:
    (block,) = re.findall(r"```json\n(.*?)\n```", PAGE, re.DOTALL)
    message = example_message(json.loads(block), 1)
    assert list(message.references) == ["25 euros"]


def test_the_page_names_every_metric_and_no_other() -> None:
    table = PAGE.partition("## Metrics")[2].partition("## Do the metrics")[0]
    rows = "\n".join(line for line in table.splitlines() if line.startswith("|"))
    named = {one for cell in re.findall(r"`([^`]+)`", rows) for one in cell.split()}
    assert named == RULES.keys() | JUDGED.keys()


async def test_the_python_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = re.findall(r"```python\n(.*?)\n```", PAGE, re.DOTALL)
    program = "async def example():\n" + textwrap.indent(block, "    ")
    async with running(tmp_path) as world:
        assert world.service.rpc is not None
        world.targets.answers = {"What is the fee?": "25 euros"}
        address = f"127.0.0.1:{world.service.rpc.port}"
        monkeypatch.setenv("GYRE_EVALUATION_ADDRESS", address)
        monkeypatch.setenv("GYRE_API_KEY", "key-acme")
        scope: dict[str, object] = {}
        exec(program, scope)
        await scope["example"]()  # type: ignore[operator]
    assert "'exact_match': 1.0" in capsys.readouterr().out
