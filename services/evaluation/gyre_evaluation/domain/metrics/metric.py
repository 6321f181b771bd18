"""What a metric is, whoever computes it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """What a metric looks at."""

    ANSWER = "answer"
    RETRIEVAL = "retrieval"
    RUN = "run"


class Direction(StrEnum):
    """Which way is better."""

    HIGHER = "higher"
    LOWER = "lower"
    NONE = "none"


class Source(StrEnum):
    """What makes a score."""

    RULE = "rule"
    JUDGE = "judge"


class Need(StrEnum):
    """What an example must have, or else the metric does not apply to it."""

    REFERENCES = "references"
    PASSAGES = "passages"
    RELEVANT = "relevant_ids"
    CITATIONS = "citations"
    BASELINE = "baseline_run_id"


@dataclass(frozen=True, slots=True)
class Metric:
    """maximum: None where there is none. rubric: `name@version` of a judge's rubric, else empty.

    embeds: whether sentences are compared by meaning, so that the embedding service is needed.
    """

    name: str
    level: Level
    direction: Direction
    description: str
    needs: frozenset[Need] = frozenset()
    minimum: float = 0.0
    maximum: float | None = 1.0
    source: Source = Source.RULE
    rubric: str = ""
    embeds: bool = False


@dataclass(frozen=True, slots=True)
class Score:
    """value: None where the metric does not apply, or failed (then `error` says why).

    confidence: how much several judges agree, 0 to 1.
    """

    metric: str
    value: float | None
    source: Source = Source.RULE
    judge_model: str = ""
    rubric: str = ""
    explanation: str = ""
    error: str = ""
    confidence: float | None = None
