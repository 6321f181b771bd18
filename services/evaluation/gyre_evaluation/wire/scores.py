"""Metrics, scores and verdicts as messages."""

from __future__ import annotations

from gyre.evaluation.v1 import scores_pb2, service_pb2

from gyre_evaluation.domain.comparison import Difference
from gyre_evaluation.domain.metrics.catalogue import RULES
from gyre_evaluation.domain.metrics.metric import Direction, Metric
from gyre_evaluation.domain.runs import Kind, Summary, Target


def metric_to(metric: Metric) -> service_pb2.Metric:
    return service_pb2.Metric(
        name=metric.name,
        level=scores_pb2.MetricLevel.Value(f"METRIC_LEVEL_{metric.level.upper()}"),
        direction=direction_to(metric.direction),
        minimum=metric.minimum,
        maximum=metric.maximum,
        needs=sorted(metric.needs),
        description=metric.description,
        source=scores_pb2.ScoreSource.Value(f"SCORE_SOURCE_{metric.source.upper()}"),
        rubric_version=metric.rubric,
    )


def direction_to(direction: Direction) -> scores_pb2.Direction.ValueType:
    return scores_pb2.Direction.Value(f"DIRECTION_{direction.upper()}")


def summary_to(summary: Summary) -> scores_pb2.MetricSummary:
    metric = RULES.get(summary.metric)
    return scores_pb2.MetricSummary(
        metric=summary.metric,
        count=summary.count,
        mean=summary.mean,
        low=summary.low,
        high=summary.high,
        errors=summary.errors,
        direction=direction_to(metric.direction if metric else Direction.HIGHER),
    )


def difference_to(one: Difference) -> scores_pb2.MetricDifference:
    interval = one.interval
    return scores_pb2.MetricDifference(
        metric=one.metric,
        pairs=one.pairs,
        baseline=one.baseline,
        candidate=one.candidate,
        difference=interval.mean if interval else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        verdict=scores_pb2.Verdict.Value(f"VERDICT_{one.verdict.upper()}"),
    )


def target_to(target: Target) -> scores_pb2.Target:
    return scores_pb2.Target(**target.as_json())


def target_from(wire: scores_pb2.Target) -> Target:
    """Raises `RequestInvalid`, and ValueError where the kind is none."""
    return Target(
        kind=Kind(wire.kind or "answer"),
        prompt_name=wire.prompt_name,
        prompt_version=wire.prompt_version,
        model=wire.model,
        chain=wire.chain,
        chain_version=wire.chain_version,
        collection=wire.collection,
        temperature=round(wire.temperature, 6) if wire.HasField("temperature") else None,
        max_tokens=wire.max_tokens if wire.HasField("max_tokens") else None,
        seed=wire.seed if wire.HasField("seed") else None,
        top_k=wire.top_k,
        index=wire.index,
    )
