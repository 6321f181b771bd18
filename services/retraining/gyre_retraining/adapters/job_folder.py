"""A job's folder as this side reads it: how far it is, and what it left at its end."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gyre_retraining.domain.jobs import JobState, Order, Result, Seen
from gyre_retraining.domain.trainings import Progress, TrainingImpossible
from gyre_retraining.recipes import job as jobs
from gyre_retraining.recipes.schema import RecipeError, parse

TAIL = 256 * 1024
SCRATCH = ("checkpoints", "model", "trials")


class JobFolder:
    """What `recipes/job.py` of the job's side promises, read. Every method may be repeated."""

    def __init__(self, folder: Path) -> None:
        self.path = folder

    def write(self, order: Order) -> None:
        """What the job is asked; the word of an earlier end is removed. Raises
        `TrainingImpossible`."""
        try:
            recipe = parse(_absolute(order.plan.values))
        except RecipeError as error:  # of an earlier release
            raise TrainingImpossible("bad_recipe", str(error)) from error
        job = jobs.Job(
            folder=self.path,
            training_id=order.training_id,
            recipe=recipe,
            dataset=order.dataset,
            base_model=order.base_model,
            output=self.output,
            tracking_uri=order.tracking_uri,
            name=order.name,
        )
        jobs.write_job(job)
        job.error.unlink(missing_ok=True)

    @property
    def output(self) -> Path:
        """Where the job writes the model."""
        return self.path / "model"

    def seen(self, *, running: bool) -> Seen:
        """running: there is a process. A result counts even while its process still ends."""
        progress = self._progress()
        if found := _read(self.path / "result.json"):
            return Seen(JobState.SUCCEEDED, progress, result=self._result(found))
        if running:
            return Seen(JobState.RUNNING, progress)
        if found := _read(self.path / "error.json"):
            reason, detail = str(found.get("reason", "")), str(found.get("detail", ""))
            return Seen(JobState.FAILED, progress, reason or "failed", detail)
        return Seen(JobState.ABSENT, progress)

    def clear(self) -> None:
        """Checkpoints and the model, which the registry has by now; words and figures stay."""
        for name in SCRATCH:
            shutil.rmtree(self.path / name, ignore_errors=True)

    def _result(self, found: Mapping[str, Any]) -> Result:
        return Result(
            steps=int(found.get("steps", 0)),
            metrics=_numbers(found.get("metrics")),
            peak_memory_bytes=int(found.get("peak_memory_bytes", 0)),
            seconds=float(found.get("seconds", 0.0)),
            output=self.output,
            tracking_run_id=str(found.get("tracking_run_id") or ""),
        )

    def _progress(self) -> Progress:
        """Of the last lines; metrics of those that have some."""
        step, steps, loss, metrics = 0, 0, 0.0, dict[str, float]()
        for line in self._lines():
            step, steps = int(line.get("step", step)), int(line.get("steps", steps))
            loss = _numbers({"loss": line.get("loss")}).get("loss", loss)
            metrics |= _numbers(line.get("metrics"))
        return Progress(step, steps, loss, metrics)

    def _lines(self) -> Iterator[Mapping[str, Any]]:
        try:
            with (self.path / "progress.jsonl").open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(size - TAIL, 0))
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return
        for line in lines:
            try:
                said = json.loads(line)
            except ValueError:  # cut by the tail, or being written
                continue
            if isinstance(said, dict):
                yield said


def _absolute(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """A teacher's folder as this process means it: the job works in a folder of its own."""
    distillation = values.get("distillation")
    if not distillation:
        return values
    teacher = str(Path(distillation["teacher"]).absolute())
    return {**values, "distillation": {**distillation, "teacher": teacher}}


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _numbers(given: Any) -> dict[str, float]:
    if not isinstance(given, dict):
        return {}
    found = {str(k): float(v) for k, v in given.items() if isinstance(v, int | float)}
    return {name: value for name, value in found.items() if math.isfinite(value)}
