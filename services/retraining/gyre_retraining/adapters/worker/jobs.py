"""What the process can do: job -> module and function, imported when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

Job = Callable[[Any], Any]
"""JSON in, JSON out."""

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


def job(name: str) -> Job:
    """Raises KeyError."""
    module, _, function = JOBS[name].partition(":")
    found: Job = getattr(import_module(module), function)
    return found
