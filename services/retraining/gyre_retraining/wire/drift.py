"""Drift as it is heard."""

from __future__ import annotations

from gyre.evaluation.v1.events_pb2 import DriftDetected


def findings_of(event: DriftDetected) -> list[str]:
    """Names of what moved, strongest first."""
    return [one.feature for one in event.findings]
