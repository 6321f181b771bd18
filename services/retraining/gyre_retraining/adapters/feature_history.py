"""Features as they were known, read by Feast in a process of its own: it takes seconds to load and
hundreds of megabytes, and is needed once for each dataset."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gyre_runtime.worker import JobFailed, Worker

from gyre_retraining.dataset_ports import AssemblyUnavailable, FeatureAsked

KINDS = frozenset({"prompt", "model", "variant", "chunk", "document", "segment"})
TIMEOUT = 600.0
HIDDEN = "known_at"


class FeastFeatureHistory:
    """`FeatureHistory` of the folder into which the feedback service writes features."""

    def __init__(self, folder: Path, *, timeout: float = TIMEOUT) -> None:
        self._history = folder.absolute() / "history"
        self._timeout = timeout

    async def then(
        self, tenant: str, asked: Sequence[FeatureAsked]
    ) -> Sequence[Mapping[str, float]]:
        by_kind: dict[str, list[int]] = {}
        for place, one in enumerate(asked):
            if one.kind in KINDS:
                by_kind.setdefault(one.kind, []).append(place)
        found: list[Mapping[str, float]] = [{} for _ in asked]
        if not by_kind:
            return found
        questions = [_question(tenant, kind, asked, by_kind[kind]) for kind in sorted(by_kind)]
        for kind, answer in zip(sorted(by_kind), await self._ask(questions), strict=True):
            for place, values in zip(by_kind[kind], answer, strict=True):
                found[place] = _known(values)
        return found

    async def _ask(self, questions: Sequence[Mapping[str, Any]]) -> list[Any]:
        if not self._history.is_dir():
            raise AssemblyUnavailable(f"there is no history of features in {self._history.parent}")
        with tempfile.TemporaryDirectory(prefix="gyre-features-") as name:
            # A registry of its own: the feedback service may be writing the one beside the history.
            (Path(name) / "history").symlink_to(self._history)
            command = (sys.executable, "-m", "gyre_features", name, "sqlite")
            try:
                async with Worker(command, seconds=self._timeout) as worker:
                    return [await worker.ask("then", one) for one in questions]
            except JobFailed as error:
                raise AssemblyUnavailable(f"the feature store: {error}"[:300]) from error


def _question(
    tenant: str, kind: str, asked: Sequence[FeatureAsked], places: Sequence[int]
) -> dict[str, Any]:
    rows = [
        {
            "tenant": tenant,
            "entity_id": asked[place].entity_id,
            "metric": asked[place].metric,
            "as_of_time": asked[place].time,
        }
        for place in places
    ]
    return {"kind": kind, "rows": rows}


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None and name != HIDDEN}
