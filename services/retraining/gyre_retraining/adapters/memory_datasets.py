"""Honest twins of what the assembly asks others for: for tests without other services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gyre_retraining.dataset_ports import AssemblyUnavailable, FeatureAsked, SetVersion
from gyre_retraining.domain.decontamination import EvaluationSet
from gyre_retraining.domain.scales import Scale


class MemoryEvaluationSets:
    """`EvaluationSets` that are given; by tenant."""

    def __init__(self, sets: Mapping[str, Sequence[EvaluationSet]] | None = None) -> None:
        self.sets = {name: list(some) for name, some in (sets or {}).items()}

    async def all(self, tenant: str) -> list[EvaluationSet]:
        return sorted(self.sets.get(tenant, ()), key=lambda one: (one.name, one.version))

    async def named(self, tenant: str, versions: Sequence[SetVersion]) -> list[EvaluationSet]:
        known = {(one.name, one.version): one for one in await self.all(tenant)}
        missing = [one for one in versions if one not in known]
        if missing:
            raise AssemblyUnavailable(f"there is no evaluation set {missing[0]}")
        return [known[one] for one in sorted(versions)]


class MemoryMetricScales:
    """`MetricScales` that are given; by tenant."""

    def __init__(self, scales: Mapping[str, Mapping[str, Scale]] | None = None) -> None:
        self.scales = dict(scales or {})

    async def all(self, tenant: str) -> Mapping[str, Scale]:
        return self.scales.get(tenant, {})


class MemoryFeatureHistory:
    """`FeatureHistory` of rows that are given: tenant, kind, entity, metric, time, values."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, FeatureAsked, Mapping[str, float]]] = []

    async def then(
        self, tenant: str, asked: Sequence[FeatureAsked]
    ) -> Sequence[Mapping[str, float]]:
        return [self._one(tenant, one) for one in asked]

    def _one(self, tenant: str, asked: FeatureAsked) -> Mapping[str, float]:
        def is_known(owner: str, row: FeatureAsked) -> bool:
            same = (owner, row.kind, row.entity_id, row.metric)
            wanted = (tenant, asked.kind, asked.entity_id, asked.metric)
            return same == wanted and row.time <= asked.time

        known = [(row.time, values) for owner, row, values in self.rows if is_known(owner, row)]
        return max(known, key=lambda one: one[0], default=(0.0, {}))[1]
