"""Requests per second of one tenant: a token bucket each."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from gyre_runtime.failures import Overloaded

BURST = 2.0
KNOWN_TENANTS = 10_000


class TenantRate:
    """rate: tokens per second, with bursts of twice as many; 0 means no limit."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, tenant: str) -> None:
        """Raises `Overloaded` when the tenant has used up its share."""
        if not self._rate:
            return
        now, full = self._clock(), self._rate * BURST
        tokens, seen = self._buckets.pop(tenant, (full, now))
        tokens = min(full, tokens + (now - seen) * self._rate)
        allowed = tokens >= 1
        self._buckets[tenant] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > KNOWN_TENANTS:
            self._buckets.popitem(last=False)
        if not allowed:
            wait = (1 - tokens) / self._rate
            raise Overloaded("tenant-rate", "too many requests of this tenant", retry_after=wait)
