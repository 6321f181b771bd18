"""`gyre gate` as a person uses it, and docs/gate.md."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gate_world import POLICY, Gatehouse, guarded
from gyre_client.cli.app import app
from gyre_evaluation.domain.gates.awaited import SEARCH
from gyre_evaluation.domain.gates.gate import refuse_for_searches
from gyre_evaluation.domain.metrics.catalogue import RULES
from gyre_evaluation.domain.runs import Kind
from gyre_evaluation.use_cases.gates import metrics_of
from gyre_evaluation.use_cases.runs import refuse_unjudging
from gyre_evaluation.wire.policies import policy_from
from offline_world import ANSWERS
from typer.testing import CliRunner

PAGE = (Path(__file__).parents[3] / "docs" / "gate.md").read_text()
COMMANDS = [line for line in PAGE.splitlines() if line.startswith("gyre gate")]
RUN = ("run", "answer", "--candidate", "model=candidate", "--champion", "model=champion")


@pytest.fixture
async def gatehouse(tmp_path: Path) -> AsyncIterator[Gatehouse]:
    async with guarded(tmp_path) as one:
        yield one


async def gyre(gatehouse: Gatehouse, *words: str | Path) -> tuple[int, str]:
    """Exit code and what was printed."""
    assert gatehouse.past.world.service.rpc is not None
    where = {
        "GYRE_EVALUATION_ADDRESS": f"127.0.0.1:{gatehouse.past.world.service.rpc.port}",
        "GYRE_API_KEY": "key-acme",
        "COLUMNS": "200",
    }
    said = list(map(str, ("gate", *words)))
    ended = await asyncio.to_thread(CliRunner().invoke, app, said, env=where)
    return ended.exit_code, ended.output


async def test_a_policy_is_declared_and_a_candidate_held_against_it(
    gatehouse: Gatehouse, tmp_path: Path
) -> None:
    file, page = tmp_path / "gate.yaml", tmp_path / "gate.html"
    file.write_text(POLICY)
    assert await gyre(gatehouse, "declare", file, "--dry-run") == (
        0,
        "answer: the policy is fine\n",
    )
    assert (await gyre(gatehouse, "policy", "answer"))[0] == 4
    assert await gyre(gatehouse, "declare", file) == (0, "answer@1 is in force from now on\n")
    assert await gyre(gatehouse, "policy", "answer") == (0, POLICY)
    code, output = await gyre(gatehouse, *RUN, "--report", page)
    assert code == 0, output
    assert "it is not worse by more than 0" in output
    assert page.read_text().startswith("<!doctype html>")
    code, listed = await gyre(gatehouse, "list", "--workload", "answer", "--json")
    (gate,) = json.loads(listed)
    assert (gate["verdict"], gate["may_proceed"]) == ("pass", True)
    assert (await gyre(gatehouse, "watch", gate["gate_id"]))[0] == 0


async def test_the_gate_has_an_exit_code_for_each_end(gatehouse: Gatehouse, tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text(POLICY + "approval: true\n")
    assert (await gyre(gatehouse, "declare", file))[0] == 0
    code, output = await gyre(gatehouse, *RUN, "--json")
    gate_id = json.loads(output)["gate"]["gate_id"]
    assert code == 7, output
    words = ("approve", gate_id, "--reason", "Fine by me.")
    assert "may proceed" in (await gyre(gatehouse, *words))[1]
    assert (await gyre(gatehouse, "watch", gate_id))[0] == 0
    assert "may not proceed" in (await gyre(gatehouse, *words, "--refuse"))[1]
    gatehouse.targets.models = {"candidate": dict.fromkeys(ANSWERS, "No idea.")}
    assert (await gyre(gatehouse, *RUN))[0] == 5
    gatehouse.targets.available = False
    assert (await gyre(gatehouse, *RUN))[0] == 6


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_page_is_one(line: str) -> None:
    _, *words = shlex.split(line, comments=True)
    found = CliRunner().invoke(app, [*words, "--help"])
    assert found.exit_code == 0, found.output
    assert "Example: gyre gate" in found.output
    assert all(option in found.output for option in set(re.findall(r"--[a-z-]+", line)))


def test_the_policy_of_the_page_is_one() -> None:
    block, searches = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    policy = policy_from(block)
    assert set(metrics_of(policy)) <= RULES.keys()
    assert policy.fresh is not None
    assert policy.triggers is not None
    assert policy.approval
    assert len(COMMANDS) >= 8
    indexes = policy_from(searches)
    assert indexes.workload == SEARCH
    refuse_for_searches(indexes)
    refuse_unjudging(tuple(metrics_of(indexes)), Kind.SEARCH)
