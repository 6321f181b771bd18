"""One trial: the recipe with some values, run as a job of its own in a process of its own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gyre_retraining.recipes.ending import STOPPED, JobError, Stopped
from gyre_retraining.recipes.job import Job, read_job, write_job
from gyre_retraining.recipes.schema import with_overrides


@dataclass(frozen=True)
class Trial:
    """What some values reached and what they took. reason: empty where it has a result."""

    number: int
    values: Mapping[str, Any]
    metrics: Mapping[str, float]
    seconds: float
    peak_memory_bytes: int
    steps: int
    reason: str = ""


def run_trial(job: Job, number: int, values: Mapping[str, Any], stop: Callable[[], bool]) -> Trial:
    """Runs it, goes on with it, or reads what it reached before.

    Raises `Stopped` once `stop` says so, and `JobError` where the recipe refuses the values.
    """
    own = _own_job(job, number, values)
    if not (own.folder / "job.json").exists() or read_job(own.folder) != own:
        shutil.rmtree(own.folder, ignore_errors=True)
        write_job(own)
    if not own.result.exists() and _run(own, stop) == STOPPED:
        raise Stopped
    return _read(own, number, values)


def _own_job(job: Job, number: int, values: Mapping[str, Any]) -> Job:
    folder = job.folder / "trials" / str(number)
    alone = job.recipe.model_copy(update={"search": None})
    texts = {path: json.dumps(value) for path, value in values.items()}
    return replace(
        job,
        folder=folder,
        training_id=f"{job.training_id}-{number}",
        recipe=with_overrides(alone, texts),
        output=folder / "model",
        name=f"{job.name}, trial {number}",
    )


def _run(own: Job, stop: Callable[[], bool]) -> int:
    command = [sys.executable, "-m", "gyre_retraining.recipes", "run", "--job", str(own.folder)]
    child = subprocess.Popen(command)
    told = False
    while child.poll() is None:
        if stop() and not told:
            child.send_signal(signal.SIGTERM)
            told = True
        time.sleep(0.1)
    return STOPPED if told and not own.result.exists() else child.returncode


def _read(own: Job, number: int, values: Mapping[str, Any]) -> Trial:
    if own.result.exists():
        found = json.loads(own.result.read_text())
        taken = (found["seconds"], found["peak_memory_bytes"], found["steps"])
        return Trial(number, values, found["metrics"], *taken)
    return Trial(number, values, {}, 0.0, 0, 0, reason=_reason(own.error))


def _reason(error: Path) -> str:
    return str(json.loads(error.read_text())["reason"]) if error.exists() else "lost"


def metric_of(trial: Trial, name: str) -> float:
    """Raises `JobError` (`bad_metric`) where the validation split has no such metric."""
    if name not in trial.metrics:
        known = ", ".join(sorted(trial.metrics)) or "none"
        raise JobError("bad_metric", f"search.metric {name} is not measured; there is: {known}")
    return trial.metrics[name]
