"""Versions of models in MLflow's registry; in the worker's process: MLflow takes seconds to import.

A version is one row that has its whole record as a tag from the first moment, so that a process
that is killed leaves either nothing or all of it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion as Row
from mlflow.entities.model_registry import RegisteredModel
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST, ErrorCode

from gyre_retraining.adapters.model_records import record_of, record_text, version_json
from gyre_retraining.domain.card import card
from gyre_retraining.domain.models import ModelRecord, ModelVersion

TENANT, KEY, CONTENT, RECORD = "gyre.tenant", "gyre.key", "gyre.content_hash", "gyre.record"
ABSENT = ErrorCode.Name(RESOURCE_DOES_NOT_EXIST)
DESCRIPTION = 5000
PAGE = 500
Given = Mapping[str, Any]
Answer = dict[str, Any] | None


def register(given: Given) -> Answer:
    """given: uri, record. The next version, or the one that has the key."""
    client, record = _client(given["uri"]), record_of(given["record"])
    model = _named(client, record)
    if not _of_key(client, record):
        _create(client, record, given["uri"])
    first, *more = _of_key(client, record)
    for late in more:  # two processes at once: both keep the lower number
        client.delete_model_version(model.name, late.version)
    version = _version(first, model)
    if not first.description:
        text = card(version)[:DESCRIPTION]
        client.update_model_version(model.name, first.version, description=text)
    return version_json(version)


def get(given: Given) -> Answer:
    """given: uri, tenant, name, version: a number, an alias, or empty for the newest."""
    client, wanted = _client(given["uri"]), given["version"]
    model = _model(client, given["tenant"], given["name"])
    if model is None:
        return None
    number = model.aliases.get(wanted, wanted)
    where = f"name = '{model.name}'"
    if str(number).isdecimal():
        where += f" and version_number = {int(number)}"
    elif wanted:
        return None
    rows = _rows(client, where, limit=1)
    return version_json(_version(rows[0], model)) if rows else None


def versions(given: Given) -> list[dict[str, Any]]:
    """given: uri, tenant, name: empty means all."""
    client = _client(given["uri"])
    models = _models(client, given["tenant"], given["name"])
    return [
        version_json(_version(row, model))
        for model in models
        for row in _rows(client, f"name = '{model.name}'")
    ]


def by_content_hash(given: Given) -> list[dict[str, Any]]:
    """given: uri, tenant, content_hash."""
    client = _client(given["uri"])
    return [
        version_json(_version(row, model))
        for model in _models(client, given["tenant"], "")
        for row in _rows(
            client, f"name = '{model.name}' and tags.`{CONTENT}` = '{given['content_hash']}'"
        )
    ]


def set_alias(given: Given) -> Answer:
    """given: uri, tenant, name, alias, version."""
    found = get(given)
    if found is not None:
        name = _name(given["tenant"], given["name"])
        _client(given["uri"]).set_registered_model_alias(name, given["alias"], given["version"])
    return get(given) if found else None


def remove_alias(given: Given) -> None:
    """given: uri, tenant, name, alias, version: where it points there."""
    client = _client(given["uri"])
    model = _model(client, given["tenant"], given["name"])
    if model is not None and int(model.aliases.get(given["alias"], 0)) == given["version"]:
        client.delete_registered_model_alias(model.name, given["alias"])


def fetch(given: Given) -> bool:
    """given: uri, tenant, name, version, folder. The version's files, into the folder."""
    client = _client(given["uri"])
    model = _model(client, given["tenant"], given["name"])
    rows = (
        _rows(client, f"name = '{model.name}' and version_number = {given['version']}")
        if model
        else []
    )
    if not rows:
        return False
    source = Path(mlflow.artifacts.download_artifacts(rows[0].source, tracking_uri=given["uri"]))
    shutil.copytree(source, given["folder"], dirs_exist_ok=True)
    return True


def _client(uri: str) -> MlflowClient:
    if place := _file(uri):
        place.parent.mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _create(client: MlflowClient, record: ModelRecord, uri: str) -> None:
    run, source = record.tracking_run_id or None, record.stored.uri
    if uri.startswith("http"):  # a server takes no folder of ours: it keeps the files itself
        run = run or _run(client, record)
        client.log_artifacts(run, source, "model")
        source = f"{client.get_run(run).info.artifact_uri}/model"
    tags = {
        TENANT: record.tenant,
        KEY: record.key,
        CONTENT: record.stored.content_hash,
        "gyre.kind": record.kind.value,
        "gyre.training_id": record.training_id,
        "gyre.dataset_id": record.dataset_id,
        "gyre.base_model": record.base_model,
        "mlflow.signature": json.dumps(_signature(record)),
        RECORD: record_text(record),
    }
    client.create_model_version(
        _name(record.tenant, record.name),
        source,
        run_id=run,
        tags={name: value for name, value in tags.items() if value},
        await_creation_for=0,
    )


def _signature(record: ModelRecord) -> dict[str, list[dict[str, str]]]:
    return {
        side: [
            {"name": one.name, "type": one.type + "".join(f"[{size}]" for size in one.shape)}
            for one in ports
        ]
        for side, ports in (
            ("inputs", record.signature.inputs),
            ("outputs", record.signature.outputs),
        )
    }


def _run(client: MlflowClient, record: ModelRecord) -> str:
    """The one run that holds the files of an imported model."""
    title = f"{record.tenant}/models"
    known = client.get_experiment_by_name(title)
    experiment = known.experiment_id if known else client.create_experiment(title)
    tag = f"tags.`{KEY}` = '{record.key}'"
    found = client.search_runs([experiment], tag, max_results=1)
    if found:
        return str(found[0].info.run_id)
    made = client.create_run(experiment, run_name=record.name, tags={KEY: record.key})
    client.set_terminated(made.info.run_id)
    return str(made.info.run_id)


def _named(client: MlflowClient, record: ModelRecord) -> RegisteredModel:
    name = _name(record.tenant, record.name)
    try:
        client.create_registered_model(name, tags={TENANT: record.tenant})
    except mlflow.exceptions.MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
    return client.get_registered_model(name)


def _models(client: MlflowClient, tenant: str, name: str) -> list[RegisteredModel]:
    if name:
        return [one for one in (_model(client, tenant, name),) if one]
    found, token = [], None
    while True:
        page = client.search_registered_models(
            f"tags.`{TENANT}` = '{tenant}'", max_results=PAGE, page_token=token
        )
        found += [client.get_registered_model(one.name) for one in page]
        token = page.token
        if not token:
            return sorted(found, key=lambda one: one.name)


def _model(client: MlflowClient, tenant: str, name: str) -> RegisteredModel | None:
    try:
        return client.get_registered_model(_name(tenant, name))
    except mlflow.exceptions.MlflowException as error:
        if error.error_code != ABSENT:
            raise
        return None


def _of_key(client: MlflowClient, record: ModelRecord) -> list[Row]:
    """Oldest first."""
    name = _name(record.tenant, record.name)
    return _rows(client, f"name = '{name}' and tags.`{KEY}` = '{record.key}'")[::-1]


def _rows(client: MlflowClient, where: str, limit: int = 0) -> list[Row]:
    """Newest first."""
    found: list[Row] = []
    token = None
    while True:
        page = client.search_model_versions(
            where,
            max_results=limit or PAGE,
            order_by=["version_number DESC"],
            page_token=token,
        )
        found += page
        token = page.token
        if limit or not token:
            return found


def _version(row: Row, model: RegisteredModel) -> ModelVersion:
    number = int(row.version)
    aliases = (name for name, version in model.aliases.items() if int(version) == number)
    return ModelVersion(record_of(row.tags[RECORD]), number, tuple(sorted(aliases)))


def _name(tenant: str, name: str) -> str:
    """Tenants have no dots, so no two of them meet."""
    return f"{tenant}.{name}"


def _file(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None
