"""Hyper-parameters tried: quality against cost and time, stopped and gone on with."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gyre_retraining.recipes.job import Job
from gyre_retraining.recipes.schema import Search, catalogue
from gyre_retraining.recipes.search.table import as_markdown, report
from gyre_retraining.recipes.search.trials import Trial

MakeJob = Callable[..., Job]
SPACE = {"training.learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}}


def trial(number: int, loss: float, seconds: float, memory: int, reason: str = "") -> Trial:
    metrics = {} if reason else {"eval_loss": loss}
    return Trial(number, {"training.epochs": number}, metrics, seconds, memory << 20, 5, reason)


def asked(**more: Any) -> Search:
    return Search.model_validate({"space": SPACE, **more})


def test_unbeaten_is_what_no_other_trial_betters_in_quality_time_and_memory() -> None:
    trials = [trial(0, 1.0, 10, 100), trial(1, 2.0, 5, 100), trial(2, 2.0, 10, 100)]
    found = report(trials, asked())
    assert found["best"] == 0
    assert [row["unbeaten"] for row in found["trials"]] == [True, True, False]


def test_a_metric_may_be_better_the_greater_it_is() -> None:
    found = report([trial(0, 1.0, 1, 1), trial(1, 2.0, 1, 1)], asked(greater_is_better=True))
    assert found["best"] == 1


def test_a_failed_trial_stands_in_the_table_with_its_reason() -> None:
    found = report([trial(0, 1.0, 1, 1), trial(1, 0, 0, 0, "out_of_memory")], asked())
    rows = as_markdown(found).splitlines()
    assert rows[2].endswith("| best, unbeaten |")
    assert rows[3].endswith("| out_of_memory |")


def test_a_search_without_any_result_has_no_best() -> None:
    assert report([trial(0, 0, 0, 0, "diverged")], asked())["best"] is None


def search_job(make_job: MakeJob, model: Path, trials: int, **more: Any) -> Job:
    pytest.importorskip("optuna", reason="Optuna is installed in the model environment only")
    section = {"space": SPACE, "trials": trials, "minutes": 5, **more}
    return make_job(model, "sft", {"training.max_steps": "3"}, search=section)


def started(job: Job) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gyre_retraining.recipes", "run", "--job", str(job.folder)]
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})


def values(job: Job) -> list[float]:
    found = json.loads((job.folder / "search.json").read_text())
    return [row["values"]["training.learning_rate"] for row in found["trials"]]


def test_a_search_puts_the_best_model_in_place_and_says_what_each_trial_took(
    make_job: MakeJob, tiny_model: Path
) -> None:
    job = search_job(make_job, tiny_model, 2)
    assert started(job).wait() == 0
    found = json.loads((job.folder / "search.json").read_text())
    best = min(found["trials"], key=lambda row: row["metric"])
    assert found["best"] == best["number"]
    assert all(row["seconds"] > 0 and row["peak_memory_bytes"] > 0 for row in found["trials"])
    chosen = job.folder / "trials" / str(best["number"]) / "model" / "model.safetensors"
    assert (job.output / "model.safetensors").read_bytes() == chosen.read_bytes()
    result = json.loads(job.result.read_text())
    assert result["metrics"]["eval_loss"] == best["metric"]
    assert len((job.folder / "search.md").read_text().splitlines()) == 4


def test_a_search_told_to_stop_goes_on_with_the_same_values(
    make_job: MakeJob, tiny_model: Path
) -> None:
    job = search_job(make_job, tiny_model, 2)
    process = started(job)
    while not (job.folder / "trials" / "0" / "result.json").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 75
    first = (job.folder / "trials" / "0" / "result.json").read_bytes()
    asked_before = json.loads((job.folder / "trials" / "0" / "job.json").read_text())
    assert started(job).wait() == 0
    assert (job.folder / "trials" / "0" / "result.json").read_bytes() == first
    assert values(job)[0] == asked_before["recipe"]["training"]["learning_rate"]


def test_a_metric_that_is_not_measured_fails_the_search(
    make_job: MakeJob, tiny_model: Path
) -> None:
    job = search_job(make_job, tiny_model, 1, metric="eval_surprise")
    assert started(job).wait() == 2
    error = json.loads(job.error.read_text())
    assert error["reason"] == "bad_metric"
    assert "eval_loss" in error["detail"]


def test_the_search_of_the_catalogue_runs(make_job: MakeJob, tiny_model: Path) -> None:
    pytest.importorskip("optuna", reason="Optuna is installed in the model environment only")
    changes = {
        "search.trials": "1",
        "training.max_steps": "1",
        "training.max_length": "128",
        "data.minimum_rows": "8",
    }
    job = make_job(tiny_model, changes=changes, recipe=catalogue()["language-search"])
    assert started(job).wait() == 0
    found = json.loads((job.folder / "search.json").read_text())
    asked_for = job.recipe.search
    assert asked_for is not None
    assert set(found["trials"][0]["values"]) == set(asked_for.space)
    assert (job.output / "adapter_model.safetensors").exists()
