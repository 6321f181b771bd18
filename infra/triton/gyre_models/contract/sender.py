"""One thread sends all responses of a model: two at a time race inside the Python backend."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from gyre_models.contract.outcome import Emission

log = logging.getLogger(__name__)


class Sender:
    """Parts of answers on their way out. What waits for the thread is joined per request."""

    def __init__(self, deliver: Callable[[Any, Emission], None]) -> None:
        """deliver(target, emission): sends one response; only this thread calls it."""
        self._deliver = deliver
        self._waiting: dict[Any, Emission] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="gyre-sender", daemon=True)
        self._thread.start()

    def put(self, target: Any, emission: Emission) -> None:
        """Safe from any thread; never waits for a send."""
        with self._changed:
            if (earlier := self._waiting.get(target)) is not None:
                earlier.absorb(emission)
            else:
                self._waiting[target] = emission
                self._changed.notify()

    def close(self) -> None:
        """Sends what waits, then ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (entry := self._next()) is not None:
            try:
                self._deliver(*entry)
            # A client that left in this moment must not end the sending for all others.
            except Exception:
                log.exception("a response could not be sent")

    def _next(self) -> tuple[Any, Emission] | None:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if not self._waiting:
                return None
            target = next(iter(self._waiting))
            return target, self._waiting.pop(target)
