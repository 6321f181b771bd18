"""An engine's figures as Prometheus metrics on Triton's own port. Imported inside Triton only."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import triton_python_backend_utils as pb_utils

from gyre_models.contract.stats import Figures, Levels, Stats

PERIOD_S = 0.5
SECONDS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0]
GAUGES = {
    "gyre_llm_requests_waiting": "Requests that wait for a slot",
    "gyre_llm_requests_running": "Answers that are being written",
    "gyre_llm_cache_use_ratio": "Share of all token places in use",
    "gyre_llm_prefix_cache_bytes": "Memory of shared prompt starts",
    "gyre_llm_adapters_loaded": "LoRA adapters of the model",
    "gyre_llm_engine_up": "1 while the engine can answer, 0: load its model again",
    "gyre_llm_heartbeat_seconds": "Unix time of the last look; old: the process hangs",
}
COUNTERS = {
    "gyre_llm_input_tokens_total": "Prompt tokens of ended requests",
    "gyre_llm_output_tokens_total": "Tokens written",
    "gyre_llm_cached_tokens_total": "Prompt tokens that were not computed again",
}
HISTOGRAMS = {
    "gyre_llm_queue_seconds": "Arrival to slot",
    "gyre_llm_time_to_first_token_seconds": "Arrival to first token",
    "gyre_llm_inter_token_seconds": "Mean time between two tokens of an answer",
}
ENDS = "gyre_llm_requests_total"


class Exporter:
    """Every change costs a message to the server, so figures go out gathered, twice a second."""

    def __init__(self, model: str, stats: Stats, levels: Callable[[], Levels]) -> None:
        self._labels = {"model": model}
        self._stats, self._levels = stats, levels
        self._families: dict[str, Any] = {}
        self._gauges = self._make(GAUGES, pb_utils.MetricFamily.GAUGE)
        self._counters = self._make(COUNTERS, pb_utils.MetricFamily.COUNTER)
        self._histograms = self._make(HISTOGRAMS, pb_utils.MetricFamily.HISTOGRAM, buckets=SECONDS)
        self._families[ENDS] = pb_utils.MetricFamily(
            name=ENDS, description="Requests by how they ended", kind=pb_utils.MetricFamily.COUNTER
        )
        self._ends: dict[str, Any] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gyre-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Lets go of the metrics while the server still listens: left to the end of the process,
        they send to a queue that is gone, which crashes the stub or hangs it until the server's
        exit timeout."""
        self._closed.set()
        self._thread.join()
        for metrics in (self._gauges, self._counters, self._histograms, self._ends):
            metrics.clear()
        self._families.clear()

    def _make(self, names: dict[str, str], kind: Any, **options: Any) -> dict[str, Any]:
        metrics = {}
        for name, description in names.items():
            family = pb_utils.MetricFamily(name=name, description=description, kind=kind)
            self._families[name] = family
            metrics[name] = family.Metric(labels=self._labels, **options)
        return metrics

    def _run(self) -> None:
        while not self._closed.wait(PERIOD_S):
            self._export(self._stats.drain(), self._levels())

    def _export(self, figures: Figures, levels: Levels) -> None:
        counts = (figures.input_tokens, figures.output_tokens, figures.cached_tokens)
        for counter, amount in zip(self._counters.values(), counts, strict=True):
            if amount:
                counter.increment(amount)
        times = (figures.queue_s, figures.first_token_s, figures.inter_token_s)
        for histogram, values in zip(self._histograms.values(), times, strict=True):
            for value in values:
                histogram.observe(value)
        for outcome, amount in figures.ends.items():
            self._ended(outcome).increment(amount)
        self._show(levels)

    def _show(self, levels: Levels) -> None:
        values = (
            levels.waiting,
            levels.running,
            levels.cache_use,
            levels.prefix_bytes,
            levels.adapters,
            levels.up,
            time.time(),
        )
        for gauge, value in zip(self._gauges.values(), values, strict=True):
            gauge.set(float(value))

    def _ended(self, outcome: str) -> Any:
        if outcome not in self._ends:
            labels = {**self._labels, "outcome": outcome}
            self._ends[outcome] = self._families[ENDS].Metric(labels=labels)
        return self._ends[outcome]
