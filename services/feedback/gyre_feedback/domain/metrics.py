"""Metrics are declared before they are used; a value then has a place between bad and good."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from enum import StrEnum

from gyre_feedback.domain.errors import Invalid

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
TEXT_LIMIT = 16_384
CATEGORY_LIMIT = 32


class MetricType(StrEnum):
    """What values a metric has."""

    BOOLEAN = "boolean"
    NUMBER = "number"
    CATEGORY = "category"
    TEXT = "text"


class Level(StrEnum):
    """What a metric judges."""

    ANSWER = "answer"
    CHAIN = "chain"
    STEP = "step"
    CHUNK = "chunk"


class Direction(StrEnum):
    """Which way is good."""

    MORE = "more_is_better"
    LESS = "less_is_better"
    NONE = "none"


@dataclass(frozen=True)
class Failure:
    """Stands for a value that could not be found, e.g. because the judge model did not answer."""

    text: str


class Category(str):
    """A value of a CATEGORY metric, as against free text."""

    __slots__ = ()


Value = bool | float | Category | str | Failure


@dataclass(frozen=True)
class Metric:
    """A declared metric; all but its description is for good. bounds: of NUMBER. categories: of
    CATEGORY, from worst to best where more is better."""

    name: str
    type: MetricType
    level: Level = Level.ANSWER
    direction: Direction = Direction.MORE
    minimum: float = 0.0
    maximum: float = 1.0
    categories: tuple[str, ...] = ()
    description: str = ""

    def same(self, other: Metric) -> bool:
        return self == replace(other, description=self.description)

    def check(self) -> None:
        """Raises `Invalid`."""
        wrong: dict[str, str] = {}
        if not NAME.fullmatch(self.name):
            wrong["name"] = "must be a small letter, then at most 63 of [a-z0-9_]"
        if self.name in RESERVED:
            wrong["name"] = "is reserved and needs no declaration"
        bounds = (self.minimum, self.maximum)
        if self.type is MetricType.NUMBER and not (
            all(map(math.isfinite, bounds)) and self.minimum < self.maximum
        ):
            wrong["maximum"] = "must be above the minimum, both finite"
        if self.type is MetricType.CATEGORY and not _are_categories(self.categories):
            wrong["categories"] = f"must be 2 to {CATEGORY_LIMIT} different words"
        if wrong:
            raise Invalid(wrong)

    def problem(self, value: Value) -> str:
        """What is wrong with a value; empty when nothing is."""
        if isinstance(value, Failure):
            return "" if len(value.text) <= TEXT_LIMIT else f"is over {TEXT_LIMIT} characters"
        return _PROBLEMS[self.type](self, value)

    def goodness(self, value: Value) -> float | None:
        """0 (bad) to 1 (good); None where the value moves no score."""
        if self.direction is Direction.NONE or isinstance(value, Failure):
            return None
        place = self._place(value)
        return 1.0 - place if place is not None and self.direction is Direction.LESS else place

    def _place(self, value: Value) -> float | None:
        if self.type is MetricType.BOOLEAN:
            return float(bool(value))
        if self.type is MetricType.NUMBER:
            return (float(str(value)) - self.minimum) / (self.maximum - self.minimum)
        if self.type is MetricType.CATEGORY:
            return self.categories.index(str(value)) / (len(self.categories) - 1)
        return None


RESERVED = {
    name: Metric(name, MetricType.TEXT, direction=Direction.NONE, description=text)
    for name, text in {
        "comment": "What anybody has to say, in words.",
        "correction": "The answer as it should have been.",
    }.items()
}


def _are_categories(categories: tuple[str, ...]) -> bool:
    words = {one for one in categories if 0 < len(one) <= 64}
    return 2 <= len(words) == len(categories) <= CATEGORY_LIMIT


def _boolean(metric: Metric, value: Value) -> str:
    return "" if isinstance(value, bool) else "must be a boolean"


def _number(metric: Metric, value: Value) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "must be a number"
    inside = metric.minimum <= value <= metric.maximum  # false for NaN
    return "" if inside else f"must be {metric.minimum:g} to {metric.maximum:g}"


def _category(metric: Metric, value: Value) -> str:
    known = isinstance(value, Category) and value in metric.categories
    return "" if known else f"must be one of {', '.join(metric.categories)}"


def _text(metric: Metric, value: Value) -> str:
    if not isinstance(value, str) or isinstance(value, Category) or not value:
        return "must be a text"
    return "" if len(value) <= TEXT_LIMIT else f"is over {TEXT_LIMIT} characters"


_PROBLEMS = {
    MetricType.BOOLEAN: _boolean,
    MetricType.NUMBER: _number,
    MetricType.CATEGORY: _category,
    MetricType.TEXT: _text,
}
