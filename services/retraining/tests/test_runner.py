"""Jobs as processes: killed, told to stop, over their limits, gone on with, tracked."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is installed in the model environment only")

from gyre_retraining.recipes.ending import ENDED, FAILED, STOPPED  # noqa: E402
from gyre_retraining.recipes.job import Job, dataset_id, write_job  # noqa: E402
from gyre_retraining.recipes.run import run  # noqa: E402
from gyre_retraining.recipes.schema import recipe_hash  # noqa: E402

MakeJob = Callable[..., Job]
LONG = {"training.max_steps": "60", "training.checkpoint_every": "10"}


@contextmanager
def started(job: Job) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "gyre_retraining.recipes", "run", "--job", str(job.folder)]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def lines(job: Job) -> list[dict[str, Any]]:
    text = job.progress.read_text() if job.progress.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def losses(job: Job, after: int = 0) -> dict[int, float]:
    found = {line["step"]: line["loss"] for line in lines(job) if line["loss"] is not None}
    return {step: loss for step, loss in found.items() if step > after}


def reach(job: Job, step: int, process: subprocess.Popen[bytes]) -> None:
    while not any(line["step"] >= step for line in lines(job)):
        assert process.poll() is None, "the job ended before it was that far"
        time.sleep(0.002)


def error(job: Job) -> dict[str, str]:
    found: dict[str, str] = json.loads(job.error.read_text())
    return found


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    found: dict[str, Any] = load_file(folder / "model.safetensors")
    return found


def test_a_killed_job_goes_on_at_its_checkpoint_and_ends_as_if_it_had_not_been_killed(
    make_job: MakeJob, tiny_model: Path
) -> None:
    whole, killed = make_job(tiny_model, changes=LONG), make_job(tiny_model, changes=LONG, name="k")
    assert run(whole.folder) == ENDED
    with started(killed) as process:
        reach(killed, 25, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = len(lines(killed))
    with started(killed) as process:
        assert process.wait() == ENDED
    again = [line["step"] for line in lines(killed)[before:] if line["loss"] is not None]
    kept = again[0] - 1
    assert kept >= 20
    assert kept % 10 == 0
    assert again == list(range(kept + 1, 61))
    # The same rows in the same order: every loss after the checkpoint is the uninterrupted run's.
    assert losses(killed, kept) == pytest.approx(losses(whole, kept), rel=1e-4)
    first, second = (json.loads(job.result.read_text()) for job in (whole, killed))
    assert first["steps"] == second["steps"] == 60
    assert second["metrics"] == pytest.approx(first["metrics"], rel=1e-4)
    mine, theirs = weights(whole.output), weights(killed.output)
    assert all(torch.allclose(mine[name], theirs[name], atol=1e-5) for name in mine)


def test_a_job_told_to_stop_keeps_the_very_step_and_goes_on_with_the_next(
    make_job: MakeJob, tiny_model: Path
) -> None:
    job = make_job(tiny_model, changes=LONG | {"training.max_steps": "3000"})
    with started(job) as process:
        reach(job, 3, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == STOPPED
    stopped = max(losses(job))
    assert not job.result.exists()
    assert not job.error.exists()
    assert (job.checkpoints / f"checkpoint-{stopped}" / "kept.json").exists()
    shorter = {"training.max_steps": str(stopped + 4), "training.checkpoint_every": "10"}
    write_job(replace(job, recipe=make_job(tiny_model, changes=shorter, name="s").recipe))
    before = len(lines(job))
    with started(job) as process:
        assert process.wait() == ENDED
    assert lines(job)[before]["step"] == stopped + 1
    assert json.loads(job.result.read_text())["steps"] == stopped + 4


def test_a_half_checkpoint_is_not_used(make_job: MakeJob, tiny_model: Path) -> None:
    job = make_job(tiny_model, changes={"training.max_steps": "4"})
    (job.checkpoints / "checkpoint-3").mkdir(parents=True)
    assert run(job.folder) == ENDED
    assert sorted(losses(job)) == [1, 2, 3, 4]


def test_a_finished_job_is_left_as_it_is(make_job: MakeJob, tiny_model: Path) -> None:
    job = make_job(tiny_model, changes={"training.max_steps": "2"})
    assert run(job.folder) == ENDED
    told = job.result.read_bytes(), job.progress.read_bytes()
    shutil.rmtree(job.output)
    assert run(job.folder) == ENDED
    assert (job.result.read_bytes(), job.progress.read_bytes()) == told
    assert not job.output.exists()


def test_a_result_says_what_the_run_took(make_job: MakeJob, tiny_model: Path) -> None:
    job = make_job(tiny_model, changes={"training.max_steps": "2"})
    assert run(job.folder) == ENDED
    result = json.loads(job.result.read_text())
    assert result["steps"] == 2
    assert result["peak_memory_bytes"] > 50 << 20
    assert result["seconds"] > 0
    assert result["metrics"]["eval_loss"] > 0


def test_a_job_that_takes_more_memory_than_it_may_is_ended(
    make_job: MakeJob, tiny_model: Path
) -> None:
    job = make_job(tiny_model, changes={"limits.memory_mb": "64"})
    with started(job) as process:
        assert process.wait() == FAILED
    assert error(job)["reason"] == "out_of_memory"
    assert not job.output.exists()


def test_a_job_that_takes_longer_than_it_may_fails(make_job: MakeJob, tiny_model: Path) -> None:
    job = make_job(tiny_model, changes={"limits.minutes": "0.00001"})
    assert run(job.folder) == FAILED
    assert error(job)["reason"] == "time_limit"


def test_a_loss_that_is_no_number_fails_the_job(make_job: MakeJob, tiny_model: Path) -> None:
    job = make_job(tiny_model, changes={"training.learning_rate": "1.0e+30"})
    assert run(job.folder) == FAILED
    assert error(job)["reason"] == "diverged"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda job: (job.folder / "job.json").write_text("{"), "bad_job"),
        (lambda job: (job.folder / "job.json").write_text("{}"), "bad_job"),
        (lambda job: (job.dataset / "manifest.json").unlink(), "bad_dataset"),
        (lambda job: (job.dataset / "train.parquet").write_bytes(b"x"), "bad_dataset"),
        (
            lambda job: (job.dataset / "manifest.json").write_text('{"form": "pairs"}'),
            "bad_dataset",
        ),
        (lambda job: write_job(replace(job, base_model=job.folder / "none")), "bad_base_model"),
    ],
)
def test_what_a_job_cannot_begin_with_is_named(
    make_job: MakeJob, tiny_model: Path, spoil: Callable[[Job], object], reason: str
) -> None:
    job = make_job(tiny_model)
    spoil(job)
    assert run(job.folder) == FAILED
    assert error(job)["reason"] == reason


def test_too_few_rows_train_nothing(make_job: MakeJob, tiny_model: Path) -> None:
    job = make_job(tiny_model, changes={"data.minimum_rows": "49"})
    assert run(job.folder) == FAILED
    assert error(job)["reason"] == "too_few_rows"


def test_a_failed_job_that_is_started_again_forgets_its_failure(
    make_job: MakeJob, tiny_model: Path
) -> None:
    job = make_job(tiny_model, changes={"training.max_steps": "2"})
    job.error.write_text('{"reason": "lost", "detail": ""}')
    assert run(job.folder) == ENDED
    assert not job.error.exists()


def test_a_half_line_of_a_killed_job_is_cut(make_job: MakeJob, tiny_model: Path) -> None:
    job = make_job(tiny_model, changes={"training.max_steps": "2"})
    job.progress.write_text('{"step": 1')
    assert run(job.folder) == ENDED
    assert sorted(losses(job)) == [1, 2]


def test_the_base_model_is_not_changed(make_job: MakeJob, tiny_model: Path) -> None:
    before = {path: path.read_bytes() for path in tiny_model.rglob("*") if path.is_file()}
    assert run(make_job(tiny_model, changes={"training.max_steps": "2"}).folder) == ENDED
    assert {path: path.read_bytes() for path in tiny_model.rglob("*") if path.is_file()} == before


def test_a_tracked_job_is_one_run_with_parameters_curve_and_files(
    make_job: MakeJob, tiny_model: Path, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}"
    job = replace(make_job(tiny_model, changes={"training.max_steps": "3"}), tracking_uri=uri)
    write_job(job)
    assert run(job.folder) == ENDED
    before = weights(job.output)
    job.result.unlink()  # as if killed before its result was written
    assert run(job.folder) == ENDED
    assert all(before[name].equal(after) for name, after in weights(job.output).items())
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("training/tiny")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.run_id == json.loads(job.result.read_text())["tracking_run_id"]
    assert found.info.status == "FINISHED"
    parameters = found.data.params
    assert parameters["training.max_steps"] == "3"
    assert parameters["recipe_hash"] == recipe_hash(job.recipe)
    assert parameters["dataset_id"] == dataset_id(job)
    assert parameters["code_version"].startswith("0.")
    assert found.data.metrics["eval_loss"] > 0
    assert {point.step for point in client.get_metric_history(found.info.run_id, "loss")} == {
        1,
        2,
        3,
    }
    files = {file.path for file in client.list_artifacts(found.info.run_id)}
    assert files == {"recipe.yaml", "progress.jsonl", "manifest.json"}


def test_a_tracking_server_that_is_away_costs_no_model(
    make_job: MakeJob, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    uri = f"sqlite:///{tmp_path / 'file'}/mlflow.db"
    job = replace(make_job(tiny_model, changes={"training.max_steps": "2"}), tracking_uri=uri)
    write_job(job)
    assert run(job.folder) == ENDED
    assert "tracking: " in capsys.readouterr().err


def test_two_processes_train_one_model_together(make_job: MakeJob, tiny_model: Path) -> None:
    changes = {"training.max_steps": "4", "accelerate.processes": "2"}
    job = make_job(tiny_model, changes=changes)
    with started(job) as process:
        assert process.wait() == ENDED
    assert sorted(losses(job)) == [1, 2, 3, 4]
    assert (job.output / "model.safetensors").exists()


def test_several_processes_told_to_stop_keep_the_same_step(
    make_job: MakeJob, tiny_model: Path
) -> None:
    changes = {"training.max_steps": "3000", "accelerate.processes": "2"}
    job = make_job(tiny_model, changes=changes)
    with started(job) as process:
        reach(job, 3, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == STOPPED
    stopped = max(losses(job))
    assert (job.checkpoints / f"checkpoint-{stopped}" / "kept.json").exists()


def test_two_processes_share_the_weights_of_one_model(make_job: MakeJob, tiny_model: Path) -> None:
    changes = {
        "training.max_steps": "4",
        "accelerate.processes": "2",
        "accelerate.fsdp": "true",
    }
    alone = make_job(tiny_model, changes={"training.max_steps": "4", "training.batch_size": "8"})
    shared = make_job(tiny_model, changes=changes, name="shared")
    assert run(alone.folder) == ENDED
    with started(shared) as process:
        assert process.wait() == ENDED
    assert losses(shared) == pytest.approx(losses(alone), rel=1e-3)
    mine, theirs = weights(alone.output), weights(shared.output)
    assert all(torch.allclose(mine[name], theirs[name], atol=1e-4) for name in mine)
