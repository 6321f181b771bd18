"""Gates that something waits for."""

from __future__ import annotations

from dataclasses import dataclass

from gyre_evaluation.domain.runs import Target

SEARCH = "search"
"""Workload of indexes."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """What waits: a rollout, or a reindexing. creation_key: the same one is the same gate."""

    tenant: str
    workload: str
    candidate: Target
    champion: Target
    cause: str
    creation_key: str
    label: str
