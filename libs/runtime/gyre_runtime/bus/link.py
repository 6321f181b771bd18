"""What carries events: NATS, or the memory of a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from nats.js import JetStreamContext

from gyre_runtime.bus.publisher import Publisher
from gyre_runtime.bus.worker import Worker


class Link(Publisher, Protocol):
    """A connection with its consumers."""

    @property
    def jetstream(self) -> JetStreamContext: ...

    @property
    def connected(self) -> bool: ...

    def listen(self, subject: str, ring: Callable[[], None]) -> None:
        """To be called before `start`; see `Bus.listen`."""

    async def start(self, workers: Sequence[Worker]) -> None:
        """Begins to connect and to hear; a bus that is away is waited for behind the scenes."""

    async def stop(self, timeout: float) -> None:
        """Hears no more and lets work in flight end within `timeout` seconds. May be repeated."""

    async def close(self) -> None:
        """Ends the connection; raises nothing. May be repeated."""
