"""One start of a job: what it tells, what it keeps, and whether it should go on."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gyre_retraining.recipes import memory
from gyre_retraining.recipes.checkpoints import Checkpoints, Kept
from gyre_retraining.recipes.ending import JobError
from gyre_retraining.recipes.job import Job
from gyre_retraining.recipes.progress import Bar, ProgressLog
from gyre_retraining.recipes.tracking import Tracker


@dataclass(frozen=True)
class Outcome:
    """What a method reached: optimiser steps, and metrics of the validation split."""

    steps: int
    metrics: Mapping[str, float] = field(default_factory=dict)


class Sitting:
    """From a start of the process to its end. `leads` is true in one process of each job."""

    def __init__(self, job: Job, *, leads: bool = True) -> None:
        self.checkpoints = Checkpoints(job.checkpoints)
        self.before: Kept | None = self.checkpoints.last()
        self.leads = leads
        self.tracker = Tracker()
        self._minutes = job.recipe.limits.minutes
        self._log = ProgressLog(job.progress) if leads else None
        self._bar = Bar(job.name) if leads else None
        self._began = time.monotonic()
        self._stop = False

    @property
    def resume_from(self) -> str | None:
        """The folder of the checkpoint to go on from; None: begin."""
        return str(self.before.path) if self.before else None

    @property
    def seconds(self) -> float:
        """Spent on this job, earlier sittings until their last checkpoint included."""
        return (self.before.seconds if self.before else 0.0) + time.monotonic() - self._began

    @property
    def peak_memory_bytes(self) -> int:
        """Highest of this process and those before it."""
        return max(memory.peak(), self.before.peak_memory_bytes if self.before else 0)

    @property
    def should_stop(self) -> bool:
        """Somebody asked for the end: keep a checkpoint and raise `Stopped`."""
        return self._stop

    def ask_to_stop(self, *_: object) -> None:
        """A signal's handler; may be called again."""
        self._stop = True

    def tell(self, step: int, steps: int, loss: float | None, metrics: Mapping[str, float]) -> None:
        """Progress. Raises `JobError`: `diverged` or `time_limit`."""
        if loss is not None and not math.isfinite(loss):
            raise JobError("diverged", f"the loss of step {step} is {loss}")
        if self._log and self._bar:
            self._log.tell(step, steps, loss, metrics)
            self._bar.show(step, steps, loss)
            self.tracker.tell(step, {**metrics, **({} if loss is None else {"loss": loss})})
        if self._minutes and self.seconds > self._minutes * 60:
            raise JobError("time_limit", f"not done after {self._minutes:g} minutes")

    def keep(self, step: int) -> None:
        """The checkpoint of this step is written."""
        if self.leads:
            self.checkpoints.keep(step, self.seconds, self.peak_memory_bytes)

    def close(self) -> None:
        """The end of the sitting; may be repeated."""
        if self._log and self._bar:
            self._log.close()
            self._bar.close()


def staging(output: Path) -> Path:
    """Where the model is written before it is moved to `output` as a whole."""
    return output.with_name(f"{output.name}.part")
