"""Prometheus metrics. Labels are few and never hold a tenant, an id or content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
MetricT = TypeVar("MetricT", Counter, Gauge, Histogram)
_known: dict[str, Counter | Gauge | Histogram] = {}


def counter(name: str, text: str, labels: Sequence[str] = ()) -> Counter:
    """`gyre_<name>_total`; the same object when the name is asked for again."""
    return _once(Counter, name, lambda full: Counter(full, text, labels))


def gauge(name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
    """`gyre_<name>`."""
    return _once(Gauge, name, lambda full: Gauge(full, text, labels))


def histogram(
    name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS
) -> Histogram:
    """`gyre_<name>`; buckets are in the unit that the name ends with, seconds by default."""
    return _once(Histogram, name, lambda full: Histogram(full, text, labels, buckets=buckets))


def _once(kind: type[MetricT], name: str, make: Callable[[str], MetricT]) -> MetricT:
    known = _known.get(name)
    if known is None:
        known = _known[name] = make(f"gyre_{name}")
    if not isinstance(known, kind):
        raise ValueError(f"metric {name} is a {type(known).__name__} already")
    return known
