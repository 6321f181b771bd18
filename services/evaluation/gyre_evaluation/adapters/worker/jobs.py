"""What the process can do: job -> module and function, imported when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping

from gyre_runtime.worker import Worker, worker_of

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
SURROUNDINGS = {"MPLBACKEND": "svg", "MLFLOW_DISABLE_TELEMETRY": "true"}


def new_worker(*, memory: int, seconds: float) -> Worker:
    """memory: bytes it may use. seconds: longest time of a job."""
    return worker_of(__name__, memory=memory, seconds=seconds, environment=SURROUNDINGS)
