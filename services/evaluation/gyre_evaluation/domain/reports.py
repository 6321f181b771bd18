"""What a run came to: means, slices, worst examples, costs; as JSON can hold it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gyre_evaluation.domain.comparison import Agreement, Difference, Interval
from gyre_evaluation.domain.datasets import DatasetVersion
from gyre_evaluation.domain.examples import Example
from gyre_evaluation.domain.metrics.metric import Direction, Level, Metric
from gyre_evaluation.domain.runs import Item, Kind, Run, Summary
from gyre_evaluation.domain.summaries import Values, values_of

WORST = 20
SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True)
class Told:
    """Everything a report of one run is made of."""

    run: Run
    dataset: DatasetVersion
    examples: Sequence[Example]
    items: Sequence[Item]
    metrics: Mapping[str, Metric]


def slice_values(told: Told) -> Values:
    """Scores by `slice, value, metric`."""
    found: Values = defaultdict(list)
    by_id = {one.example_id: one for one in told.examples}
    for item in told.items:
        for name, value in slices_of(by_id[item.example_id]).items():
            for metric, scores in values_of([item]).items():
                found[SEPARATOR.join((name, value, metric))] += scores
    return dict(found)


def slices_of(example: Example) -> dict[str, str]:
    """The example's own, and those that every example has."""
    own = {"answerable": "no" if example.unanswerable else "yes"}
    if example.language:
        own["language"] = example.language
    if example.split:
        own["split"] = example.split
    return own | dict(example.slices)


def rating_pairs(told: Told) -> dict[str, tuple[list[float], list[float]]]:
    """Scores and people's ratings of the same answers, by `metric, rating`. Only of recorded
    answers: people rated these and no others."""
    pairs: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    by_id = {one.example_id: one for one in told.examples}
    for item in told.items if told.run.target.kind is Kind.RECORDED else ():
        for rating, given in by_id[item.example_id].ratings.items():
            for metric, scores in values_of([item]).items():
                ours, theirs = pairs[SEPARATOR.join((metric, rating))]
                ours.append(scores[0])
                theirs.append(given)
    return dict(pairs)


def report_of(
    told: Told, sliced: Mapping[str, Interval], agreements: Mapping[str, Agreement]
) -> dict[str, Any]:
    """sliced: intervals of `slice_values`. agreements: of `rating_pairs`."""
    return {
        "kind": "run",
        "run": run_facts(told.run),
        "dataset": _dataset_facts(told.dataset),
        "metrics": [_metric_facts(told, one) for one in told.run.summaries],
        "slices": _slice_tables(told, sliced),
        "agreement": [
            {**asdict(one), **dict(zip(("metric", "rating"), key.split(SEPARATOR), strict=True))}
            for key, one in sorted(agreements.items(), key=lambda one: -one[1].spearman)
        ],
        "worst": worst(told),
        "failed": [
            {"example_id": item.example_id, "error": item.produced.error}
            for item in told.items
            if item.produced.error
        ][:WORST],
    }


def comparison_report_of(
    dataset: DatasetVersion,
    runs: Sequence[Run],
    differences: Mapping[str, Sequence[Difference]],
    metrics: Mapping[str, Metric],
) -> dict[str, Any]:
    """The first run is the baseline. differences: by run id of the others."""
    names = list(dict.fromkeys(one.metric for run in runs for one in run.summaries))
    return {
        "kind": "comparison",
        "dataset": _dataset_facts(dataset),
        "metrics": [{"name": name, "direction": _direction(metrics, name)} for name in names],
        "runs": [
            run_facts(run) | {"metrics": {one.metric: asdict(one) for one in run.summaries}}
            for run in runs
        ],
        "differences": {
            run_id: [asdict(one) for one in some] for run_id, some in differences.items()
        },
    }


def run_facts(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "tenant": run.tenant,
        "title": run.title,
        "target": {name: value for name, value in run.target.as_json().items() if value},
        "state": run.state.value,
        "author": run.author,
        "split": run.split,
        "examples": run.examples,
        "failures": run.failures,
        "cached": run.cached,
        "create_time": run.create_time.isoformat(),
        "end_time": run.end_time.isoformat() if run.end_time else None,
        "costs": asdict(run.costs),
    }


def worst(told: Told) -> list[dict[str, Any]]:
    """The examples that their metrics think least of, on average over bounded ones."""
    by_id = {one.example_id: one for one in told.examples}
    graded = [
        (grade, item) for item in told.items if (grade := _grade(item, told.metrics)) is not None
    ]
    graded.sort(key=lambda one: (one[0], one[1].example_id))
    return [_worst_facts(by_id[item.example_id], item, grade) for grade, item in graded[:WORST]]


def _grade(item: Item, metrics: Mapping[str, Metric]) -> float | None:
    """0 to 1, better is more."""
    grades = []
    for name, score in item.scores.items():
        metric = metrics.get(name)
        if metric is None or score.value is None or metric.maximum is None:
            continue
        share = (score.value - metric.minimum) / (metric.maximum - metric.minimum)
        if metric.direction is not Direction.NONE:
            grades.append(share if metric.direction is Direction.HIGHER else 1 - share)
    return sum(grades) / len(grades) if grades else None


def _worst_facts(example: Example, item: Item, grade: float) -> dict[str, Any]:
    return {
        "example_id": example.example_id,
        "grade": grade,
        "question": example.question,
        "answer": item.produced.text,
        "answer_id": item.produced.answer_id,
        "references": list(example.references[:2]),
        "unanswerable": example.unanswerable,
        "slices": slices_of(example),
        "scores": {name: score.value for name, score in item.scores.items()},
        "notes": {
            name: score.explanation or score.error
            for name, score in item.scores.items()
            if score.explanation or score.error
        },
    }


def _metric_facts(told: Told, summary: Summary) -> dict[str, Any]:
    metric = told.metrics.get(summary.metric)
    return {
        **asdict(summary),
        "direction": _direction(told.metrics, summary.metric),
        "level": metric.level.value if metric else Level.ANSWER.value,
        "description": metric.description if metric else "",
        "maximum": metric.maximum if metric else None,
        "values": values_of(told.items).get(summary.metric, []),
    }


def _slice_tables(told: Told, sliced: Mapping[str, Interval]) -> list[dict[str, Any]]:
    """A table for each slice of more than one value; few answers are shown as few."""
    rows: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    for key, scores in slice_values(told).items():
        name, value, metric = key.split(SEPARATOR)
        interval = sliced.get(key)
        rows[name][value][metric] = {
            "count": len(scores),
            "mean": sum(scores) / len(scores),
            "low": interval.low if interval else None,
            "high": interval.high if interval else None,
        }
    return [
        {"slice": name, "rows": [{"value": value, "metrics": row} for value, row in table]}
        for name, table in _several(rows)
    ]


def _several(
    rows: Mapping[str, Mapping[str, dict[str, Any]]],
) -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    for name, table in sorted(rows.items()):
        if len(table) > 1:
            yield name, sorted(table.items())


def _dataset_facts(dataset: DatasetVersion) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "version": dataset.version,
        "examples": dataset.examples,
        "content_hash": dataset.content_hash,
        "splits": dict(dataset.splits),
    }


def _direction(metrics: Mapping[str, Metric], name: str) -> str:
    return metrics[name].direction.value if name in metrics else Direction.HIGHER.value
