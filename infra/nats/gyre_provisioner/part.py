"""The seam of the provisioner: what a server must hold, and how far it is from that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Difference:
    """thing: e.g. `stream INGESTION`. wanted and found are for people; found is None when the
    thing is missing. repairable: whether `repair` can set it right without losing data."""

    thing: str
    setting: str
    wanted: str
    found: str | None
    repairable: bool = True

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.thing}: missing"
        note = "" if self.repairable else "  (cannot be changed: make it anew)"
        return f"{self.thing}: {self.setting} is {self.found}, wanted {self.wanted}{note}"


class Provisioned(Protocol):
    """One server: the bus, the vector store, the model server."""

    name: str

    async def differences(self) -> Sequence[Difference]:
        """Raises OSError or TimeoutError when the server is away."""

    async def repair(self, *, only_missing: bool) -> None:
        """Makes what is missing and, unless told otherwise, sets right what has drifted.

        May be repeated, removes nothing.
        """
