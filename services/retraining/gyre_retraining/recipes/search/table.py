"""What a search found: quality against cost and time, and what nothing else beats in all three."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gyre_retraining.recipes.schema import Search
from gyre_retraining.recipes.search.trials import Trial


def report(trials: Sequence[Trial], search: Search) -> dict[str, Any]:
    """JSON: every trial with its metric, seconds and memory; `unbeaten`: none is better in one of
    the three without being worse in another. best: the number of the one with the best metric."""
    done = [trial for trial in trials if not trial.reason]
    best = min(done, key=lambda trial: _loss(trial, search), default=None)
    return {
        "metric": search.metric,
        "greater_is_better": search.greater_is_better,
        "best": best.number if best else None,
        "trials": [_row(trial, done, search) for trial in trials],
    }


def as_markdown(found: dict[str, Any]) -> str:
    """The report as a table, the best first."""
    names = sorted({name for row in found["trials"] for name in row["values"]})
    head = ["trial", *names, found["metric"], "seconds", "memory MB", ""]
    rows = sorted(found["trials"], key=lambda row: _order(row, found["greater_is_better"]))
    lines = [[*_cells(row, names), _remark(row, found)] for row in rows]
    every = [head, ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in every)


def _row(trial: Trial, done: Sequence[Trial], search: Search) -> dict[str, Any]:
    return {
        "number": trial.number,
        "values": dict(trial.values),
        "metric": None if trial.reason else trial.metrics[search.metric],
        "seconds": trial.seconds,
        "peak_memory_bytes": trial.peak_memory_bytes,
        "steps": trial.steps,
        "reason": trial.reason,
        "unbeaten": not trial.reason and not any(_beats(one, trial, search) for one in done),
    }


def _beats(one: Trial, other: Trial, search: Search) -> bool:
    own, theirs = _aims(one, search), _aims(other, search)
    return own != theirs and all(a <= b for a, b in zip(own, theirs, strict=True))


def _aims(trial: Trial, search: Search) -> tuple[float, float, float]:
    return _loss(trial, search), trial.seconds, float(trial.peak_memory_bytes)


def _loss(trial: Trial, search: Search) -> float:
    value = trial.metrics[search.metric]
    return -value if search.greater_is_better else value


def _order(row: dict[str, Any], greater: bool) -> float:
    if row["metric"] is None:
        return float("inf")
    return -row["metric"] if greater else float(row["metric"])


def _cells(row: dict[str, Any], names: Sequence[str]) -> list[str]:
    values = [f"{row['values'].get(name, '')}" for name in names]
    metric = "" if row["metric"] is None else f"{row['metric']:.4f}"
    memory = f"{row['peak_memory_bytes'] >> 20}"
    return [str(row["number"]), *values, metric, f"{row['seconds']:.1f}", memory]


def _remark(row: dict[str, Any], found: dict[str, Any]) -> str:
    if row["reason"]:
        return str(row["reason"])
    best = "best, " if row["number"] == found["best"] else ""
    return f"{best}unbeaten" if row["unbeaten"] else best.removesuffix(", ")
