"""Where it is kept what came from what."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from gyre_retraining.domain.lineage import Direction, Edge, Facts, Node, Thing


class LineageStore(Protocol):
    """Edges of each tenant, found from both ends."""

    async def write(self, tenant: str, facts: Facts) -> None:
        """Durable when it returns; may be repeated. A label or time that is known is not lost.
        What is older than a thing's erasure does not bring it back."""

    async def next(
        self,
        tenant: str,
        things: Sequence[Thing],
        direction: Direction,
        limit: int,
        after: Edge | None = None,
    ) -> list[Edge]:
        """At most `limit` edges that lead from any of these, by their later, then their earlier
        thing. after: the last one of the page before."""

    async def nodes(self, tenant: str, things: Sequence[Thing]) -> dict[Thing, Node]:
        """Those that were written as nodes; a thing may also stand in edges alone."""

    async def forget(self, tenant: str, thing: Thing, moment: datetime) -> None:
        """Takes it out with all of its edges; may be repeated. For erasure: facts from before
        `moment` that arrive later do not name it either."""


class DatasetSources(Protocol):
    """What rows of an assembled dataset were made of."""

    def sources(self, folder: Path) -> AsyncIterator[list[tuple[str, str]]]:
        """Pieces of (kind, id), each pair once."""
