"""Feast in a process of its own: it needs seconds to load and hundreds of megabytes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gyre_runtime.worker import JobFailed, Worker

from gyre_feedback.domain.scores import EntityKind
from gyre_feedback.ports import FeatureQuery, FeatureRow, FeaturesUnavailable

GRACE = 5.0


class FeastFeatureStore:
    """`FeatureStore`. The process starts with the first call, and again after it died."""

    def __init__(self, folder: Path, online: str, *, timeout: float) -> None:
        command = (sys.executable, "-m", "gyre_features", str(folder.absolute()), online)
        self._folder = folder
        self.worker = Worker(command, seconds=timeout, idle=None, grace=GRACE)

    async def write(self, kind: EntityKind, rows: Sequence[FeatureRow], batch: str) -> None:
        given = [{**_key(row.entity), **row.values, "event_time": row.event_time} for row in rows]
        await self._ask("write", {"kind": kind, "rows": given, "batch": batch})

    async def read(
        self, kind: EntityKind, queries: Sequence[FeatureQuery]
    ) -> Sequence[FeatureRow | None]:
        then = queries[0].as_of_time is not None
        wanted = [{**_key(one.entity), "as_of_time": one.as_of_time} for one in queries]
        found = await self._ask("then" if then else "now", {"kind": kind, "rows": wanted})
        return [_row(query, one) for query, one in zip(queries, found, strict=True)]

    async def close(self) -> None:
        await self.worker.close()

    async def _ask(self, job: str, given: dict[str, Any]) -> Any:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            return await self.worker.ask(job, given)
        except JobFailed as error:
            raise FeaturesUnavailable(f"the feature store: {error}"[:300]) from error


def _key(entity: Any) -> dict[str, str]:
    return {"tenant": entity.tenant, "entity_id": entity.entity_id, "metric": entity.metric}


def _row(query: FeatureQuery, values: dict[str, float | None]) -> FeatureRow | None:
    known = {name: value for name, value in values.items() if value is not None}
    if not known:
        return None
    return FeatureRow(query.entity, known.pop("known_at", 0.0), known)
