"""Live questions that belong together, cut into a reference and windows by their number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gyre_evaluation.domain.drift.findings import Finding


@dataclass(frozen=True, slots=True, order=True)
class Traffic:
    """What is compared with its own past. scope: `collection=manuals`, `workload=generate` for
    plain chat, `feedback=thumbs_up` for judgements by a metric."""

    tenant: str
    scope: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What is remembered of an answer or a judgement. vector: of the question,
    little-endian float32 of unit length; empty where there is none. numbers, words: by feature."""

    answer_id: str
    time: datetime
    vector: bytes = b""
    numbers: Mapping[str, float] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """How traffic is cut: its first `reference` answers say what is normal, each `window` after
    them is compared with these."""

    reference: int = 1000
    window: int = 400

    def window_of(self, number: int) -> int | None:
        """Of the answer with this number, counted from 0; None for the reference."""
        return None if number < self.reference else (number - self.reference) // self.window

    def numbers_of(self, window: int) -> range:
        first = self.reference + window * self.window
        return range(first, first + self.window)

    def complete(self, count: int) -> int:
        """Windows that are full after `count` answers."""
        return max(0, count - self.reference) // self.window


@dataclass(frozen=True, slots=True)
class Progress:
    """How far traffic has come. generation: counts its references; count: observations of this one;
    checked: windows of this one."""

    traffic: Traffic
    generation: int
    count: int
    checked: int


@dataclass(frozen=True, slots=True)
class Check:
    """What came of comparing a window with the reference; p-values are corrected."""

    window: int
    start: datetime
    end: datetime
    drifted: bool
    findings: tuple[Finding, ...] = ()
