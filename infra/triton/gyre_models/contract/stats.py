"""An engine's own figures, gathered in the process and exported elsewhere, off the token path."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

from gyre_models.contract.outcome import Outcome


@dataclass
class Figures:
    """What happened since the last look; gauges hold the newest value. Times in seconds."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    first_token_s: list[float] = field(default_factory=list)
    inter_token_s: list[float] = field(default_factory=list)
    queue_s: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Levels:
    """How full the engine is now. cache_use: share of all token places, 0 to 1.

    up: whether it can answer at all; a dead one needs its model to be loaded again.
    """

    waiting: int = 0
    running: int = 0
    cache_use: float = 0.0
    prefix_bytes: int = 0
    adapters: int = 0
    up: bool = True


class Stats:
    """Written by the loop, drained by the exporter."""

    def __init__(self) -> None:
        self._figures = Figures()
        self._lock = threading.Lock()

    def ended(self, outcome: Outcome) -> None:
        with self._lock:
            figures = self._figures
            figures.ends[outcome.finish_reason.value] += 1
            figures.input_tokens += outcome.input_tokens
            figures.output_tokens += outcome.output_tokens
            figures.cached_tokens += outcome.cached_tokens
            figures.queue_s.append(outcome.queue_ns / 1e9)
            if outcome.output_tokens:
                figures.first_token_s.append(outcome.first_token_ns / 1e9)
            if outcome.output_tokens > 1:
                span = outcome.total_ns - outcome.first_token_ns
                figures.inter_token_s.append(span / 1e9 / (outcome.output_tokens - 1))

    def refused(self, prefix: str) -> None:
        with self._lock:
            self._figures.ends[prefix.lower()] += 1

    def drain(self) -> Figures:
        with self._lock:
            figures, self._figures = self._figures, Figures()
        return figures
