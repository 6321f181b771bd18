"""`DriftTests` in the worker process."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from gyre_runtime.worker import JobFailed, Worker

from gyre_evaluation.domain.drift.findings import Finding
from gyre_evaluation.domain.drift.traffic import Observation
from gyre_evaluation.ports import ScoringFailed


class WorkerDriftTests:
    """SciPy and scikit-learn cost 100 MB, which the service does not keep."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def compare(
        self, reference: Sequence[Observation], current: Sequence[Observation]
    ) -> list[Finding]:
        given = {"reference": list(map(_row, reference)), "current": list(map(_row, current))}
        try:
            found = await self._worker.ask("drift", given)
        except JobFailed as error:
            raise ScoringFailed(str(error)) from error
        return [Finding(**{**one, "examples": tuple(one["examples"])}) for one in found]


def _row(observation: Observation) -> dict[str, Any]:
    return {
        "answer_id": observation.answer_id,
        "vector": base64.b64encode(observation.vector).decode(),
        "numbers": dict(observation.numbers),
        "words": dict(observation.words),
    }
