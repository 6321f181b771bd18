"""Two runs on the same examples, answer beside answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gyre_evaluation.domain.examples import Example
from gyre_evaluation.domain.metrics.metric import Direction, Metric
from gyre_evaluation.domain.metrics.refusals import refused
from gyre_evaluation.domain.runs import Item, case_of

MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Pair:
    """before, after: answers of both runs to the example; both have one."""

    example: Example
    before: Item
    after: Item

    @property
    def changed(self) -> bool:
        return self.before.produced.text.split() != self.after.produced.text.split()

    @property
    def refusals(self) -> tuple[bool, bool]:
        """Whether each answer is one."""
        before, after = (
            refused(case_of(self.example, one.produced)) for one in (self.before, self.after)
        )
        return before, after

    @property
    def gained(self) -> bool:
        return self.refusals == (False, True)

    @property
    def lost(self) -> bool:
        return self.refusals == (True, False)


def pairs_of(
    examples: Sequence[Example], before: Sequence[Item], after: Sequence[Item]
) -> list[Pair]:
    """In the order of the examples; those without one of the answers are left out."""
    first, second = _answered(before), _answered(after)
    return [
        Pair(one, first[one.example_id], second[one.example_id])
        for one in examples
        if one.example_id in first and one.example_id in second
    ]


def _answered(items: Sequence[Item]) -> dict[str, Item]:
    return {one.example_id: one for one in items if not one.produced.error}


def gain(pair: Pair, metrics: Mapping[str, Metric]) -> float:
    """Mean change of the bounded metrics, as shares of their ranges; more is better."""
    changes = list(_changes(pair, metrics))
    return sum(changes) / len(changes) if changes else 0.0


def _changes(pair: Pair, metrics: Mapping[str, Metric]) -> Iterator[float]:
    for name, score in pair.after.scores.items():
        metric, before = metrics.get(name), pair.before.scores.get(name)
        if metric is None or metric.maximum is None or metric.direction is Direction.NONE:
            continue
        if before is None or before.value is None or score.value is None:
            continue
        change = (score.value - before.value) / (metric.maximum - metric.minimum)
        yield change if metric.direction is Direction.HIGHER else -change


def most_changed(pairs: Sequence[Pair], metrics: Mapping[str, Metric]) -> list[dict[str, Any]]:
    """Those whose scores moved most, either way; then those whose refusal came or went."""
    moved = [(gain(one, metrics), one) for one in pairs if one.changed]
    moved.sort(key=lambda one: (-abs(one[0]), not (one[1].gained or one[1].lost)))
    return [facts(pair, change) for change, pair in moved[:MOST_SHOWN]]


def facts(pair: Pair, change: float) -> dict[str, Any]:
    """Both answers as a report shows them."""
    return {
        "example_id": pair.example.example_id,
        "question": pair.example.question,
        "change": change,
        "refusal": "gained" if pair.gained else "lost" if pair.lost else "",
        "before": _answer(pair.before),
        "after": _answer(pair.after),
        "slices": dict(pair.example.slices),
    }


def _answer(item: Item) -> dict[str, Any]:
    return {
        "text": item.produced.text,
        "answer_id": item.produced.answer_id,
        "model": item.produced.model,
        "scores": {name: score.value for name, score in item.scores.items()},
    }
