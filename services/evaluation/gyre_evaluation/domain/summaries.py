"""What a run's items come to: scores by metric, means, speed and cost."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median

from gyre_evaluation.domain.comparison import Interval
from gyre_evaluation.domain.runs import Costs, Item, Summary

Values = dict[str, list[float]]


def values_of(items: Sequence[Item]) -> Values:
    """Scores by metric, in the order of the items."""
    found: Values = defaultdict(list)
    for item in items:
        for name, score in item.scores.items():
            if score.value is not None and math.isfinite(score.value):
                found[name].append(score.value)
    return dict(found)


def summaries_of(
    metrics: Sequence[str],
    items: Sequence[Item],
    intervals: Mapping[str, Interval],
    of_run: Mapping[str, float],
    together: int,
) -> tuple[Summary, ...]:
    """One for each metric; of_run: those that have one value for `together` answers."""
    values, summaries = values_of(items), []
    for name in metrics:
        scores = values.get(name, [])
        errors = sum(1 for item in items if (one := item.scores.get(name)) and one.error)
        interval = intervals.get(name)
        mean = sum(scores) / len(scores) if scores else None
        if name in of_run:
            mean, count = of_run[name], together
        else:
            count = len(scores)
        low, high = (interval.low, interval.high) if interval else (None, None)
        summaries.append(Summary(name, count, mean, low, high, errors))
    return tuple(summaries)


def costs_of(items: Sequence[Item]) -> Costs:
    answered = [item.produced for item in items if not item.produced.error]
    if not answered:
        return Costs()
    seconds = sorted(one.seconds for one in answered)
    first = [one.first_text_seconds for one in answered if one.first_text_seconds is not None]
    costs = [one.cost_micros for one in answered if one.cost_micros is not None]
    return Costs(
        latency_p50=median(seconds),
        latency_p95=seconds[min(len(seconds) - 1, math.ceil(0.95 * len(seconds)) - 1)],
        first_text_p50=median(first) if first else None,
        input_tokens=sum(one.input_tokens for one in answered),
        output_tokens=sum(one.output_tokens for one in answered),
        cost_micros=sum(costs) if costs else None,
    )
