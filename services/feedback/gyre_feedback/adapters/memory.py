"""The feature store's honest twin: for tests without Feast."""

from __future__ import annotations

from collections.abc import Sequence

from gyre_feedback.domain.scores import Entity, EntityKind
from gyre_feedback.ports import FeatureQuery, FeatureRow


class MemoryFeatureStore:
    """`FeatureStore`; forgets everything at its end."""

    def __init__(self) -> None:
        self._batches: set[tuple[EntityKind, str]] = set()
        self._rows: dict[Entity, list[FeatureRow]] = {}

    async def write(self, kind: EntityKind, rows: Sequence[FeatureRow], batch: str) -> None:
        if (kind, batch) in self._batches:
            return
        self._batches.add((kind, batch))
        for row in rows:
            if row.entity.kind is not kind:
                raise ValueError(f"{row.entity} is no {kind}")
            self._rows.setdefault(row.entity, []).append(row)

    async def read(
        self, kind: EntityKind, queries: Sequence[FeatureQuery]
    ) -> Sequence[FeatureRow | None]:
        return [self._one(query) for query in queries]

    async def close(self) -> None:
        pass

    def _one(self, query: FeatureQuery) -> FeatureRow | None:
        moment = float("inf") if query.as_of_time is None else query.as_of_time
        known = [row for row in self._rows.get(query.entity, ()) if row.event_time <= moment]
        return max(known, key=lambda row: row.event_time, default=None)
