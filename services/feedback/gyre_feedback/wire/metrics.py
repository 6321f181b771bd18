"""Metrics as messages and back."""

from __future__ import annotations

from gyre.feedback.v1 import feedback_pb2 as pb

from gyre_feedback.domain.errors import Invalid
from gyre_feedback.domain.metrics import Direction, Level, Metric, MetricType

_TYPES = {pb.MetricType.Value(f"METRIC_TYPE_{one.name}"): one for one in MetricType}
_LEVELS = {pb.FeedbackLevel.Value(f"FEEDBACK_LEVEL_{one.name}"): one for one in Level}
_DIRECTIONS = {
    pb.METRIC_DIRECTION_MORE_IS_BETTER: Direction.MORE,
    pb.METRIC_DIRECTION_LESS_IS_BETTER: Direction.LESS,
    pb.METRIC_DIRECTION_NONE: Direction.NONE,
}
_TYPE_CODES = {noun: code for code, noun in _TYPES.items()}
_LEVEL_CODES = {noun: code for code, noun in _LEVELS.items()}
_DIRECTION_CODES = {noun: code for code, noun in _DIRECTIONS.items()}


def metric_from(message: pb.Metric) -> Metric:
    """Raises `Invalid` for a type, level or direction that is not known."""
    if message.type not in _TYPES:
        raise Invalid({"type": "must be BOOLEAN, NUMBER, CATEGORY or TEXT"})
    level = message.level or pb.FEEDBACK_LEVEL_ANSWER
    direction = message.direction or pb.METRIC_DIRECTION_MORE_IS_BETTER
    if level not in _LEVELS or direction not in _DIRECTIONS:
        raise Invalid({"level": "and direction must be values that this service knows"})
    kind = _TYPES[message.type]
    bounds = (message.minimum, message.maximum)
    return Metric(
        message.name,
        kind,
        _LEVELS[level],
        Direction.NONE if kind is MetricType.TEXT else _DIRECTIONS[direction],
        *(bounds if bounds != (0.0, 0.0) else (0.0, 1.0)),
        tuple(message.categories),
        message.description,
    )


def metric_to(metric: Metric) -> pb.Metric:
    number = metric.type is MetricType.NUMBER
    return pb.Metric(
        name=metric.name,
        type=_TYPE_CODES[metric.type],
        level=_LEVEL_CODES[metric.level],
        direction=_DIRECTION_CODES[metric.direction],
        minimum=metric.minimum if number else 0.0,
        maximum=metric.maximum if number else 0.0,
        categories=metric.categories,
        description=metric.description,
    )
