"""What a replay came to, as JSON can hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from gyre_evaluation.domain.datasets import DatasetVersion
from gyre_evaluation.domain.metrics.metric import Metric
from gyre_evaluation.domain.pairs import Pair, most_changed
from gyre_evaluation.domain.replays import Replay
from gyre_evaluation.domain.reports import run_facts
from gyre_evaluation.domain.runs import Item, Run

FAILED_SHOWN = 20


def replay_report_of(
    replay: Replay,
    dataset: DatasetVersion,
    runs: tuple[Run, Run],
    pairs: Sequence[Pair],
    after: Sequence[Item],
    metrics: Mapping[str, Metric],
) -> dict[str, Any]:
    """runs: recorded, replayed. after: items of the second, failures included."""
    failed = [one for one in after if one.produced.error]
    return {
        "kind": "replay",
        "replay": _facts(replay),
        "dataset": {"name": dataset.name, "version": dataset.version, "hash": dataset.content_hash},
        "runs": [run_facts(one) for one in runs],
        "differences": [asdict(one) for one in replay.outcome.differences],
        "counts": {
            "chosen": replay.answers + sum(replay.left_out.values()),
            "replayed": replay.answers,
            "compared": len(pairs),
            "failures": len(failed),
            "changed": replay.outcome.changed,
            "gained": replay.outcome.gained,
            "lost": replay.outcome.lost,
        },
        "left_out": dict(replay.left_out),
        "most_changed": most_changed(pairs, metrics),
        "failed": [
            {"example_id": one.example_id, "error": one.produced.error}
            for one in failed[:FAILED_SHOWN]
        ],
    }


def _facts(replay: Replay) -> dict[str, Any]:
    wanted = {name: value for name, value in asdict(replay.wanted).items() if value}
    return {
        "replay_id": replay.replay_id,
        "title": replay.title,
        "target": {name: value for name, value in replay.target.as_json().items() if value},
        "wanted": {name: str(value) for name, value in wanted.items()},
        "author": replay.author,
        "margin": replay.margin,
        "create_time": replay.create_time.isoformat(),
        "end_time": replay.end_time.isoformat() if replay.end_time else None,
    }
