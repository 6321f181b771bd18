"""Runs as rows and back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from gyre_evaluation.domain.metrics.metric import Score, Source
from gyre_evaluation.domain.runs import (
    Costs,
    Item,
    Run,
    RunState,
    Summary,
    produced_from,
    target_from,
)

PLANNED = ("author", "split", "label", "limit", "ignore_cache", "concurrency", "baseline_run_id")


def plan_of(run: Run) -> dict[str, Any]:
    """What was asked for; what is fixed at the beginning replaces it."""
    plan = {name: getattr(run, name) for name in PLANNED}
    more = {"target": run.target.as_json(), "metrics": list(run.metrics)}
    return {**plan, **more, "replay_id": run.replay_id}


def result_of(run: Run) -> dict[str, Any]:
    return {"summaries": [asdict(one) for one in run.summaries], "costs": asdict(run.costs)}


def run_from(row: Any) -> Run:
    """row: of `runs`, with the counts `done`, `failures` and `cached`."""
    plan, result = row.plan, row.result
    return Run(
        run_id=row.run_id,
        tenant=row.tenant,
        target=target_from(plan["target"]),
        dataset=row.dataset,
        dataset_version=row.dataset_version,
        metrics=tuple(plan["metrics"]),
        create_time=datetime.fromtimestamp(row.create_time, UTC),
        end_time=datetime.fromtimestamp(row.end_time, UTC) if row.end_time else None,
        state=RunState(row.state),
        detail=row.detail,
        examples=row.examples,
        done=row.done,
        failures=int(row.failures or 0),
        cached=int(row.cached or 0),
        summaries=tuple(Summary(**one) for one in result.get("summaries", ())),
        costs=Costs(**result.get("costs", {})),
        replay_id=plan.get("replay_id", ""),
        **{name: plan[name] for name in PLANNED},
    )


def item_from(row: Any) -> Item:
    scores = {
        name: Score(**{**given, "source": Source(given["source"])})
        for name, given in row.scores.items()
    }
    return Item(row.example_id, produced_from(row.produced), scores, row.cached)


def item_row(run_id: str, item: Item) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "example_id": item.example_id,
        "produced": item.produced.as_json(),
        "scores": {name: asdict(score) for name, score in item.scores.items()},
        "failed": bool(item.produced.error),
        "cached": item.cached,
    }
