"""What the caller is told while an answer is made: started, deltas, done."""

from __future__ import annotations

from dataclasses import dataclass

from gyre_inference.domain.record import AnswerRecord


@dataclass(frozen=True)
class Started:
    """First: what is known already, the id to give feedback on among it."""

    record: AnswerRecord


@dataclass(frozen=True)
class Delta:
    """Text to append; never empty."""

    text: str


@dataclass(frozen=True)
class Done:
    """Last: the record, which is durable by now."""

    record: AnswerRecord


Event = Started | Delta | Done
