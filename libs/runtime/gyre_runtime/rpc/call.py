"""The RPC being served here and now: what is passed on to the services that it calls."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Call:
    """authorization: metadata as it came. deadline: on the monotonic clock; None is none."""

    authorization: str
    deadline: float | None

    @property
    def remaining(self) -> float | None:
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


current_call: ContextVar[Call | None] = ContextVar("gyre_call", default=None)
