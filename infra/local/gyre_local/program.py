"""One process of the platform, as the supervisor sees it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """Where a program is in its life."""

    WAITING = "waiting"
    STARTING = "starting"
    HEALTHY = "healthy"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


def nothing() -> None:
    """What most programs need before they start."""


def always() -> bool:
    """A program without a check is healthy as soon as it runs."""
    return True


@dataclass(frozen=True)
class Program:
    """How a process is started, when it counts as healthy, and how it is healed.

    after: names of programs that must be healthy, or done, before this one starts.
    uses: names of programs that must outlive it too, so that it can end its work.
    once: it runs to its end, and its exit code must be 0.
    healthy: asked in a thread until it is True, then every few seconds.
    heal: called in a thread when a healthy program answers no more but its process lives.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    once: bool = False
    prepare: Callable[[], None] = nothing
    healthy: Callable[[], bool] = always
    heal: Callable[[], None] = nothing
    stop_signal: signal.Signals = signal.SIGTERM
    address: str = ""
