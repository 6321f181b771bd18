"""A run that ended, noted in MLflow; in the worker's process: MLflow takes seconds to import."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient

TAG = "gyre.run_id"


def track(given: Mapping[str, Any]) -> dict[str, str]:
    """given: uri, report, page. One experiment a dataset of a tenant; a known run stays."""
    uri, report = given["uri"], given["report"]
    _make_folder(uri)
    client = MlflowClient(tracking_uri=uri)
    run, dataset = report["run"], report["dataset"]
    experiment = _experiment(client, f"{run['tenant']}/{dataset['name']}", uri)
    known = client.search_runs([experiment], f"tags.`{TAG}` = '{run['run_id']}'", max_results=1)
    if known:
        return {"mlflow_run_id": known[0].info.run_id}
    made = client.create_run(experiment, run_name=run["title"], tags={TAG: run["run_id"]})
    name = made.info.run_id
    _note(client, name, report)
    _attach(client, name, report, given["page"])
    client.set_terminated(name)
    return {"mlflow_run_id": name}


def _note(client: MlflowClient, name: str, report: Mapping[str, Any]) -> None:
    run, dataset = report["run"], report["dataset"]
    parameters = {
        **run["target"],
        "dataset": dataset["name"],
        "dataset_version": dataset["version"],
        "split": run["split"] or "all",
    }
    for key, value in parameters.items():
        client.log_param(name, key, value)
    for metric in report["metrics"]:
        for end in ("mean", "low", "high"):
            if metric[end] is not None:
                key = metric["metric"] if end == "mean" else f"{metric['metric']}.{end}"
                client.log_metric(name, key, metric[end])
    costs = {f"costs.{key}": value for key, value in run["costs"].items() if value is not None}
    counts = {"examples": run["examples"], "failures": run["failures"]}
    for key, value in (costs | counts).items():
        client.log_metric(name, key, float(value))


def _attach(client: MlflowClient, name: str, report: Mapping[str, Any], page: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "report.json").write_text(json.dumps(report, ensure_ascii=False))
        (Path(folder) / "report.html").write_text(page)
        client.log_artifacts(name, folder)


def _experiment(client: MlflowClient, title: str, uri: str) -> str:
    known = client.get_experiment_by_name(title)
    if known is not None:
        return str(known.experiment_id)
    place = _file(uri)
    artifacts = (place.parent / "artifacts").absolute().as_uri() if place else None
    try:
        return str(client.create_experiment(title, artifact_location=artifacts))
    except mlflow.exceptions.MlflowException:  # another process was first
        found = client.get_experiment_by_name(title)
        if found is None:
            raise
        return str(found.experiment_id)


def _make_folder(uri: str) -> None:
    if place := _file(uri):
        place.parent.mkdir(parents=True, exist_ok=True)


def _file(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None
