"""Dashboards and alerts ask for metrics that the code makes, with labels that these have."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

APPS = (
    "ingestion",
    "embedding",
    "retrieval",
    "inference",
    "feedback",
    "evaluation",
    "retraining",
)
ADDED_BY_PROMETHEUS = {"job", "instance", "le"}
METRIC = re.compile(r"\bgyre_\w+")
GROUPING = re.compile(r"\bby \(([^)]*)\)")


@pytest.fixture(scope="module")
def labels() -> dict[str, set[str]]:
    """Metric, as it is scraped -> its labels."""
    for name in APPS:
        importlib.import_module(f"gyre_{name}.app")
    found: dict[str, set[str]] = {}
    for collector in {*REGISTRY._collector_to_names}:
        if isinstance(collector, MetricWrapperBase):
            for name in REGISTRY._collector_to_names[collector]:
                found[name] = set(collector._labelnames)
    return found


@pytest.fixture(scope="module")
def questions(repository: Path) -> list[str]:
    """Every expression that is put to Prometheus."""
    folder = repository / "infra" / "observability"
    page: dict[str, Any] = json.loads((folder / "grafana/dashboards/gyre.json").read_text())
    rules = yaml.safe_load((folder / "alerts.yml").read_text())
    panels = [target["expr"] for panel in page["panels"] for target in panel["targets"]]
    return panels + [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


def test_every_metric_that_is_asked_for_is_made(
    questions: list[str], labels: dict[str, set[str]]
) -> None:
    asked = {name for question in questions for name in METRIC.findall(question)}
    assert asked
    assert asked - labels.keys() == set()


def test_metrics_are_grouped_by_labels_that_they_have(
    questions: list[str], labels: dict[str, set[str]]
) -> None:
    for question in questions:
        for group in GROUPING.findall(question):
            names = {one.strip() for one in group.split(",")}
            (metric,) = METRIC.findall(question)
            assert names <= labels[metric] | ADDED_BY_PROMETHEUS, question
