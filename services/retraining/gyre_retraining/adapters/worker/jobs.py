"""What the process can do: job -> module and function, imported when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping

from gyre_runtime.worker import Worker, worker_of

JOBS: Mapping[str, str] = {
    name: f"gyre_retraining.adapters.mlflow_book:{name}"
    for name in (
        "register",
        "get",
        "versions",
        "by_content_hash",
        "set_alias",
        "remove_alias",
        "fetch",
    )
}
SURROUNDINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # seven take minutes; who asks tries again anyway
}


def new_worker(
    *, memory: int, seconds: float, environment: Mapping[str, str] | None = None
) -> Worker:
    """memory: bytes it may use. seconds: longest time of a job. environment: what it needs to
    reach a server, such as credentials; of our own environment it sees nothing."""
    given = {**SURROUNDINGS, **(environment or {})}
    return worker_of(__name__, memory=memory, seconds=seconds, environment=given)
