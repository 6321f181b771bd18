"""How much memory the process takes, and an end where it takes more than it may."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable

_EVERY_SECONDS = 0.2


def peak() -> int:
    """Highest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def watch(limit_bytes: int, exceeded: Callable[[int], None]) -> None:
    """Calls `exceeded` with the bytes taken, from a thread, once there are more than the limit."""

    def look() -> None:
        while (taken := peak()) <= limit_bytes:
            pause.wait(_EVERY_SECONDS)
        exceeded(taken)

    pause = threading.Event()
    threading.Thread(target=look, daemon=True, name="memory").start()
