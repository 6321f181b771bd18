"""What the process can do: job -> module and function, imported when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

Job = Callable[[Any], Any]
"""JSON in, JSON out."""

JOBS: Mapping[str, str] = {
    "score": "gyre_evaluation.adapters.metrics.scoring:score",
    "score_run": "gyre_evaluation.adapters.metrics.scoring:score_run",
    "means": "gyre_evaluation.adapters.worker.intervals:means",
    "agreements": "gyre_evaluation.adapters.worker.intervals:agreements",
    "differences": "gyre_evaluation.adapters.worker.intervals:differences",
    "language": "gyre_evaluation.adapters.metrics.languages:language_of",
    "drift": "gyre_evaluation.adapters.statistics.job:compare",
    "page": "gyre_evaluation.adapters.reports.page:page",
    "track": "gyre_evaluation.adapters.mlflow_tracking:track",
}


def job(name: str) -> Job:
    """Raises KeyError."""
    module, _, function = JOBS[name].partition(":")
    found: Job = getattr(import_module(module), function)
    return found
