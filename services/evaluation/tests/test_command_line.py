"""`gyre eval` as a person and a CI use it: over the real service, ended by its exit code."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gyre_client.cli.evaluation_gate import Gate, judged_differences, judged_requirements
from gyre_client.evaluation import Difference, Run, Summary
from offline_world import ANSWERS, World, running

GYRE = str(Path(sys.executable).with_name("gyre"))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as one:
        yield one


async def gyre(world: World, *words: str | Path, folder: Path | None = None) -> tuple[int, str]:
    """Exit code and what was printed."""
    assert world.service.rpc is not None
    environment = {
        **os.environ,
        "GYRE_EVALUATION_ADDRESS": f"127.0.0.1:{world.service.rpc.port}",
        "GYRE_API_KEY": "key-acme",
        "COLUMNS": "160",
    }
    process = await asyncio.create_subprocess_exec(
        GYRE,
        "eval",
        *map(str, words),
        env=environment,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def uploaded(world: World, folder: Path, count: int = 30) -> None:
    lines = [
        json.dumps({"question": question, "answer": answer, "slices": {"kind": "sum"}})
        for question, answer in list(ANSWERS.items())[:count]
    ]
    file = folder / "sums.jsonl"
    file.write_text("\n".join(lines))
    code, output = await gyre(world, "datasets", "upload", "sums", file, "--share", "test=0.9")
    assert code == 0, output


async def test_a_dataset_is_uploaded_run_gated_and_reported(world: World, tmp_path: Path) -> None:
    await uploaded(world, tmp_path)
    page = tmp_path / "report.html"
    words = ["run", "sums", "-m", "exact_match", "--prompt", "answer@1", "--report", page]
    code, output = await gyre(world, *words, "--require", "exact_match>=0.9")
    assert code == 0, output
    assert "pass exact_match >= 0.9" in output
    assert page.read_text().startswith("<!doctype html>")
    code, output = await gyre(world, "runs")
    assert code == 0
    assert "sums@1" in output
    code, output = await gyre(world, "datasets", "show", "sums@1", "--split", "test")
    assert 20 <= len(output.splitlines()) <= 29


async def test_the_gate_has_an_exit_code_for_each_end(world: World, tmp_path: Path) -> None:
    await uploaded(world, tmp_path)
    run = ["run", "sums", "-m", "exact_match"]
    failed, output = await gyre(world, *run, "--require", "exact_match<=0.5")
    assert failed == 5, output
    few, output = await gyre(world, *run, "--limit", "5", "--require", "exact_match>=0.5")
    assert few == 6, output
    assert "insufficient data" in output
    absent, _ = await gyre(world, *run, "--require", "bleu>=5")
    assert absent == 6
    missing, _ = await gyre(world, "run", "nothing")
    assert missing == 4
    world.targets.available = False
    broken, output = await gyre(world, *run, "--no-cache")
    assert broken == 1, output
    wrong, output = await gyre(world, *run, "--require", "exact_match=1")
    assert wrong == 2
    assert "metric>=limit" in output


async def test_a_worse_candidate_fails_the_comparison(world: World, tmp_path: Path) -> None:
    await uploaded(world, tmp_path)
    run = ["run", "sums", "-m", "exact_match", "--json"]
    _, first = await gyre(world, *run)
    baseline = json.loads(first)["run"]["run_id"]
    world.targets.answers = dict.fromkeys(ANSWERS, "No.")
    code, second = await gyre(world, *run, "--model", "m2", "--baseline", baseline)
    assert code == 5, second
    candidate = json.loads(second)["run"]["run_id"]
    code, output = await gyre(world, "compare", baseline, candidate)
    assert code == 5
    assert "worse" in output
    code, _ = await gyre(world, "compare", candidate, baseline)
    assert code == 0


async def test_models_are_selected_in_one_table(world: World, tmp_path: Path) -> None:
    await uploaded(world, tmp_path)
    words = ["select", "sums", "--candidate", "model=a", "--candidate", "model=b,temperature=0.5"]
    code, output = await gyre(world, *words, "-m", "token_f1", folder=tmp_path)
    assert code == 0, output
    assert "median answer" in output
    assert "answer, b, t=0.5" in output
    assert "<svg" in (tmp_path / "selection.html").read_text()


async def test_a_line_that_is_wrong_is_named(world: World, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text('{"question": "fine?"}\n{"question": "no", "anser": "x"}\n')
    code, output = await gyre(world, "datasets", "upload", "bad", file)
    assert code == 1
    assert "example 2" in output
    assert "anser" in output


def summary(mean: float, low: float, high: float, count: int = 50) -> Summary:
    return Summary("quality", count, mean, low, high, 0, "higher")


def ran(found: Summary, failures: int = 0) -> Run:
    return Run(
        run_id="r",
        title="t",
        state="succeeded",
        detail="",
        dataset="d",
        dataset_version=1,
        split="",
        examples=50,
        done=50,
        failures=failures,
        cached=0,
        summaries=(found,),
        latency_p50=0.1,
        latency_p95=0.2,
        input_tokens=1,
        output_tokens=1,
        cost=None,
    )


@pytest.mark.parametrize(
    ("found", "failures", "code"),
    [
        (summary(0.9, 0.85, 0.95), 0, 0),
        (summary(0.6, 0.55, 0.65), 0, 5),
        (summary(0.72, 0.65, 0.79), 0, 6),  # the mean is above the limit, its interval is not
        (summary(0.9, 0.85, 0.95, count=10), 0, 6),
        (summary(0.9, 0.85, 0.95), 20, 6),  # two in five have no answer
    ],
)
def test_a_pass_needs_enough_data(found: Summary, failures: int, code: int) -> None:
    gate = Gate.read(["quality>=0.7"], "", 0.0)
    assert judged_requirements(ran(found, failures), gate)[0] == code


def test_worse_goes_before_too_little_data_and_nothing_compared_is_no_pass() -> None:
    def one(verdict: str) -> Difference:
        return Difference("quality", 30, 0.5, 0.5, 0.0, 0.0, 0.0, verdict)

    assert judged_differences([one("better"), one("not_worse")]) == 0
    assert judged_differences([one("better"), one("insufficient")]) == 6
    assert judged_differences([one("insufficient"), one("worse")]) == 5
    assert judged_differences([]) == 6
