"""The job in the book of experiments (MLflow): parameters, curves, files. One run a training."""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gyre_retraining.recipes.job import Job, Result, dataset_id
from gyre_retraining.recipes.schema import recipe_hash, to_yaml

TAG = "gyre.training_id"
_EVERY_SECONDS, _AWAY_SECONDS = 2.0, 120.0


class Tracker:
    """Notes nothing: there is no tracking server."""

    run_id = ""

    def tell(self, step: int, metrics: Mapping[str, float]) -> None:
        """Points of the curves at a step; may be repeated after a resume."""

    def ended(self, result: Result, files: tuple[Path, ...]) -> None:
        """The run is over; its small files are attached."""

    def failed(self, reason: str) -> None:
        """The run is over without a model."""


class MlflowTracker(Tracker):
    """A server that cannot be reached is told on standard error, and the training goes on."""

    def __init__(self, job: Job) -> None:
        self._waiting: list[Any] = []
        self._sent = time.monotonic()
        self._pause = _EVERY_SECONDS
        self._client: Any = None
        self._safely(lambda: self._begin(job))

    def tell(self, step: int, metrics: Mapping[str, float]) -> None:
        """Sent every other second, and at the end."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._waiting += [Metric(name, value, now, step) for name, value in metrics.items()]
        if time.monotonic() - self._sent > self._pause:
            self._safely(self._send)

    def ended(self, result: Result, files: tuple[Path, ...]) -> None:
        """Marks it finished."""
        costs = {"seconds": result.seconds, "peak_memory_bytes": float(result.peak_memory_bytes)}
        self.tell(result.steps, {**costs, **result.metrics})
        self._safely(lambda: self._close("FINISHED", files))

    def failed(self, reason: str) -> None:
        """Marks it failed, with the reason as a tag."""
        self._safely(lambda: self._close("FAILED", (), reason))

    def _begin(self, job: Job) -> None:
        from mlflow import MlflowClient

        _make_folder(job.tracking_uri)
        self._client = MlflowClient(tracking_uri=job.tracking_uri)
        experiment = _experiment(self._client, f"training/{job.recipe.name}", job.tracking_uri)
        wanted = f"tags.`{TAG}` = '{job.training_id}'"
        known = self._client.search_runs([experiment], wanted, max_results=1)
        if known:
            self.run_id = known[0].info.run_id
            self._client.update_run(self.run_id, status="RUNNING")
            return
        tags = {TAG: job.training_id}
        made = self._client.create_run(experiment, run_name=job.name, tags=tags)
        self.run_id = made.info.run_id
        for name, value in parameters(job).items():
            self._client.log_param(self.run_id, name, value)
        self._client.log_text(self.run_id, to_yaml(job.recipe), "recipe.yaml")

    def _send(self) -> None:
        self._sent = time.monotonic()
        if self.run_id and self._waiting:
            batch, self._waiting = self._waiting[:1000], self._waiting[1000:]
            self._client.log_batch(self.run_id, metrics=batch)

    def _close(self, status: str, files: tuple[Path, ...], reason: str = "") -> None:
        if not self.run_id:
            return
        if reason:
            self._client.set_tag(self.run_id, "gyre.reason", reason)
        while self._waiting:
            self._send()
        for file in files:
            self._client.log_artifact(self.run_id, str(file))
        self._client.set_terminated(self.run_id, status=status)

    def _safely(self, note: Callable[[], object]) -> None:
        try:
            note()
        except Exception as error:  # a book that cannot be written is no reason to lose a model
            self._waiting.clear()
            self._pause = _AWAY_SECONDS
            print(f"tracking: {error}", file=sys.stderr)


def parameters(job: Job) -> dict[str, str]:
    """The recipe's values by their path, and what the run was made from."""
    made_from = {
        "recipe_hash": recipe_hash(job.recipe),
        "dataset_id": dataset_id(job),
        "base_model": job.recipe.base_model,
        "code_version": code_version(),
    }
    values = job.recipe.model_dump(mode="json", exclude={"description", "search", "base_model"})
    return made_from | dict(_flat(values))


def code_version() -> str:
    """Version of the distribution and the first digits of the SHA-256 of the recipes' sources."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return f"{importlib.metadata.version('gyre-retraining')}+{digest.hexdigest()[:12]}"


def _flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    found = []
    for name, value in values.items():
        if isinstance(value, dict):
            found += _flat(value, f"{before}{name}.")
        elif value is not None:
            found.append((f"{before}{name}", str(value)))
    return found


def _experiment(client: Any, title: str, uri: str) -> str:
    from mlflow.exceptions import MlflowException

    known = client.get_experiment_by_name(title)
    if known is None:
        place = _file(uri)
        artifacts = (place.parent / "artifacts").absolute().as_uri() if place else None
        try:
            return str(client.create_experiment(title, artifact_location=artifacts))
        except MlflowException:  # another process was first
            known = client.get_experiment_by_name(title)
            if known is None:
                raise
    return str(known.experiment_id)


def _make_folder(uri: str) -> None:
    if place := _file(uri):
        place.parent.mkdir(parents=True, exist_ok=True)


def _file(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None
