"""The promise of whatever publishes events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gyre_runtime.events.envelope import Outgoing


class Publisher(Protocol):
    """Publishes with an acknowledgement."""

    async def publish(self, events: Sequence[Outgoing]) -> None:
        """Returns when every event is on disk on the bus; raises when that is not sure.

        May be repeated: ids that the bus has seen lately are dropped there.
        """
