"""A job from its folder to its result; started again in the same folder it goes on."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import traceback
from pathlib import Path

from gyre_retraining.recipes import memory, processes
from gyre_retraining.recipes.ending import ENDED, FAILED, STOPPED, JobError, Stopped
from gyre_retraining.recipes.job import Job, Result, read_job, write_error, write_result
from gyre_retraining.recipes.methods import trainer_of
from gyre_retraining.recipes.rows import check
from gyre_retraining.recipes.sitting import Outcome, Sitting, staging
from gyre_retraining.recipes.tracking import MlflowTracker


def run(folder: Path) -> int:
    """The exit code; result.json or error.json tells the rest. A finished job is left as it is."""
    try:
        job = read_job(folder)
        if job.result.exists():
            return ENDED
        job.error.unlink(missing_ok=True)
        check(job)
    except JobError as error:
        write_error(folder, error)
        return FAILED
    if job.recipe.search:
        return _search(job)
    return processes.launch(job) if processes.must_launch(job) else _sit(job)


def _search(job: Job) -> int:
    from gyre_retraining.recipes.search.run import search

    try:
        write_result(job, search(job))
    except Stopped:
        return STOPPED
    except Exception as error:
        write_error(job.folder, _named(error))
        return FAILED
    return ENDED


def _sit(job: Job) -> int:
    processes.settle(job.recipe.limits)
    leads = processes.leads()
    sitting = Sitting(job, leads=leads)
    signal.signal(signal.SIGTERM, sitting.ask_to_stop)  # before the imports that take seconds
    _limit_memory(job)
    try:
        if job.tracking_uri and leads:
            sitting.tracker = MlflowTracker(job)
        _finish(job, sitting, _train(job, sitting))
    except Stopped:
        return STOPPED
    except BaseException as error:
        found = _named(error)
        sitting.tracker.failed(found.reason)
        write_error(job.folder, found)
        return FAILED
    finally:
        sitting.close()
    return ENDED


def _train(job: Job, sitting: Sitting) -> Outcome:
    part = staging(job.output)
    if sitting.leads:
        sitting.checkpoints.sweep()
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
    return trainer_of(job.recipe.method)(job, sitting, part)


def _finish(job: Job, sitting: Sitting, outcome: Outcome) -> None:
    """The model first, then the result: killed in between, the same is written again."""
    if not sitting.leads:
        return
    shutil.rmtree(job.output, ignore_errors=True)
    staging(job.output).rename(job.output)
    result = Result(
        steps=outcome.steps,
        metrics=dict(outcome.metrics),
        peak_memory_bytes=sitting.peak_memory_bytes,
        seconds=round(sitting.seconds, 3),
        tracking_run_id=sitting.tracker.run_id,
    )
    sitting.tracker.ended(result, (job.progress, job.dataset / "manifest.json"))
    write_result(job, result)


def _limit_memory(job: Job) -> None:
    limit = job.recipe.limits.memory_mb

    def exceeded(taken: int) -> None:
        detail = f"{taken >> 20} MB were taken, {limit} are allowed"
        write_error(job.folder, JobError("out_of_memory", detail))
        os._exit(FAILED)  # the threads that compute cannot be told to end

    if limit:
        memory.watch(limit << 20, exceeded)


def _named(error: BaseException) -> JobError:
    if isinstance(error, JobError):
        return error
    traceback.print_exception(error, file=sys.stderr)
    kind, text = type(error).__name__, str(error)
    # torch tells it by its own error on a GPU and by a RuntimeError of its allocator on a CPU
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate" in text:
        return JobError("out_of_memory", text[:500] or kind)
    return JobError("crashed", f"{kind}: {text}"[:500])
