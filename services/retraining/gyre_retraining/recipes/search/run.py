"""A search over hyper-parameters, as one job: its model is that of the best trial.

Nothing but the trials' folders is kept: the sampler has a seed and is told the same results, so a
search that was killed asks the same values again and goes on.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from typing import Any

import optuna

from gyre_retraining.recipes.ending import JobError
from gyre_retraining.recipes.job import Job, Result, write_json
from gyre_retraining.recipes.progress import ProgressLog
from gyre_retraining.recipes.schema import Choice, Search
from gyre_retraining.recipes.search.table import as_markdown, report
from gyre_retraining.recipes.search.trials import Trial, metric_of, run_trial


def search(job: Job) -> Result:
    """Tries, tells (`search.json`, `search.md` in the job's folder), puts the best model in place.

    Raises `Stopped`, and `JobError` (`search_failed`: no trial has a result).
    """
    asked = job.recipe.search
    if asked is None:
        raise JobError("bad_job", "the recipe has no section search")
    trials = _tried(job, asked, _stop_on_signal())
    found = report(trials, asked)
    write_json(job.folder / "search.json", found)
    (job.folder / "search.md").write_text(as_markdown(found))
    if found["best"] is None:
        raise JobError("search_failed", f"no trial has a result: {trials[-1].reason}")
    best = next(trial for trial in trials if trial.number == found["best"])
    _place(job, best.number)
    return Result(
        steps=best.steps,
        metrics=best.metrics,
        peak_memory_bytes=max(trial.peak_memory_bytes for trial in trials),
        seconds=round(sum(trial.seconds for trial in trials), 3),
    )


def _tried(job: Job, asked: Search, stop: Callable[[], bool]) -> list[Trial]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize" if asked.greater_is_better else "minimize",
        sampler=optuna.samplers.TPESampler(seed=asked.seed),
    )
    log = ProgressLog(job.progress)
    began, done = time.monotonic(), list[Trial]()
    for number in range(asked.trials):
        spent = max(time.monotonic() - began, sum(one.seconds for one in done))
        if done and spent > asked.minutes * 60:
            break
        trial = study.ask()
        values = {path: _drawn(trial, path, space) for path, space in asked.space.items()}
        done.append(run_trial(job, number, values, stop))
        _learn(study, trial, done[-1], asked)
        log.tell(number + 1, asked.trials, None, done[-1].metrics)
    log.close()
    return done


def _drawn(trial: optuna.Trial, path: str, space: Any) -> Any:
    if isinstance(space, Choice):
        return trial.suggest_categorical(path, list(space.values))
    if space.integer:
        return trial.suggest_int(path, int(space.low), int(space.high), log=space.log)
    return trial.suggest_float(path, space.low, space.high, log=space.log)


def _learn(study: optuna.Study, trial: optuna.Trial, reached: Trial, asked: Search) -> None:
    if reached.reason:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    else:
        study.tell(trial, metric_of(reached, asked.metric))


def _place(job: Job, number: int) -> None:
    """The trial keeps its own: killed in between, the same is put in place again."""
    part = job.output.with_name(f"{job.output.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(job.folder / "trials" / str(number) / "model", part)
    shutil.rmtree(job.output, ignore_errors=True)
    part.rename(job.output)


def _stop_on_signal() -> Callable[[], bool]:
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    return lambda: bool(told)
