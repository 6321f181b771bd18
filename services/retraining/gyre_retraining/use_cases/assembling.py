"""From sources to a dataset that a training can be given."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gyre_retraining.dataset_ports import (
    DatasetStore,
    EvaluationSets,
    FeatureAsked,
    FeatureHistory,
    KeptDataset,
    MetricScales,
    SourceStore,
)
from gyre_retraining.domain.assemble import assemble
from gyre_retraining.domain.assembly import TRAIN, AssemblySettings, settings_from
from gyre_retraining.domain.decontamination import EvaluationSet
from gyre_retraining.domain.manifest import Assembly
from gyre_retraining.domain.rows import Row
from gyre_retraining.domain.scales import Scales, scale_from
from gyre_retraining.domain.trainings import DatasetUnknown, Plan, TrainingImpossible
from gyre_retraining.ports import Assembled, Clock

FEATURES = ("score", "accounts")
"""Of each subject of a row; column `chunk_score`, ..."""


@dataclass(frozen=True, slots=True)
class AssemblyRules:
    """What an operator decides for all recipes. settle: seconds after a moment in which what was
    being written then has come to be there."""

    consent_key: str = ""
    consent_values: tuple[str, ...] = ("true", "yes", "1")
    vouched: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    settle: float = 2.0


class AssembleDatasets:
    """`Datasets` of trainings. features: None leaves their columns out."""

    def __init__(
        self,
        sources: SourceStore,
        store: DatasetStore,
        sets: EvaluationSets,
        scales: MetricScales,
        features: FeatureHistory | None,
        rules: AssemblyRules,
        clock: Clock,
    ) -> None:
        self._sources = sources
        self._store = store
        self._sets = sets
        self._scales = scales
        self._features = features
        self._rules = rules
        self._clock = clock

    async def assemble(self, tenant: str, plan: Plan, as_of: datetime) -> Assembled:
        """See `Datasets`; raises `AssemblyUnavailable`, too."""
        settings = settings_of(plan, self._rules)
        kept = await self.make(tenant, settings, as_of)
        minimum = int(plan.values.get("data", {}).get("minimum_rows", 1))
        if kept.rows[TRAIN] < minimum:
            left = ", ".join(
                f"{one['filter']} {one['rows']}" for one in kept.manifest["filters"] if one["rows"]
            )
            detail = f"{kept.rows[TRAIN]} rows to train on, {minimum} are needed"
            raise TrainingImpossible("too_few_rows", f"{detail}; left out: {left or 'none'}")
        return Assembled(kept.dataset_id, kept.folder, kept.rows)

    async def make(self, tenant: str, settings: AssemblySettings, as_of: datetime) -> KeptDataset:
        """The dataset, however small."""
        await self._settled(as_of)
        scales = await self._scales.all(tenant)
        sets = await self._sets.all(tenant) if settings.decontaminate else []
        return await self._make(tenant, settings, as_of.timestamp(), scales, sets)

    async def rebuild(self, tenant: str, dataset_id: str) -> KeptDataset:
        """Makes it again as its manifest says, out of the sources. The id is the same, and so is
        every byte, unless a source was erased since or the rules have a newer version."""
        manifest = (await self.kept(tenant, dataset_id)).manifest
        settings = settings_from(manifest["settings"])
        scales = {name: scale_from(one) for name, one in manifest["scales"].items()}
        versions = [(name, version) for name, version, _ in manifest["evaluation_sets"]]
        sets = await self._sets.named(tenant, versions)
        return await self._make(tenant, settings, manifest["as_of"], scales, sets)

    async def _make(
        self,
        tenant: str,
        settings: AssemblySettings,
        as_of: float,
        scales: Scales,
        sets: Sequence[EvaluationSet],
    ) -> KeptDataset:
        snapshot = await self._sources.snapshot(tenant, as_of)
        made = await asyncio.to_thread(assemble, snapshot, settings, scales, sets)
        return await self._store.keep(await self._with_features(made))

    async def find(self, tenant: str, dataset_id: str) -> Assembled:
        """See `Datasets`; raises `DatasetDamaged`, too."""
        kept = await self.kept(tenant, dataset_id)
        if kept.erased:
            raise DatasetUnknown(f"{dataset_id}: its rows were erased")
        return Assembled(kept.dataset_id, kept.folder, kept.rows)

    async def kept(self, tenant: str, dataset_id: str) -> KeptDataset:
        """With its manifest. Raises `DatasetUnknown`, also for one of another tenant."""
        kept = await self._store.open(dataset_id)
        if kept.tenant != tenant:
            raise DatasetUnknown(dataset_id)
        return kept

    async def _settled(self, as_of: datetime) -> None:
        ahead = (as_of - self._clock()).total_seconds() + self._rules.settle
        if ahead > 0:
            await asyncio.sleep(ahead)

    async def _with_features(self, made: Assembly) -> Assembly:
        if self._features is None:
            return made
        rows = [row for split in made.splits.values() for row in split if row.metric]
        # When something was judged is the caller's word; nothing of later than `as_of` is known.
        asked = [
            (row, FeatureAsked(kind, row.subjects[kind], row.metric, min(row.time, made.as_of)))
            for row in rows
            for kind in sorted(row.subjects)
        ]
        found = await self._features.then(made.tenant, [one for _, one in asked])
        return replace(made, features=_columns(asked, found))


def settings_of(plan: Plan, rules: AssemblyRules) -> AssemblySettings:
    """The recipe's part and the operator's."""
    data: Mapping[str, Any] = plan.values.get("data", {})
    named = (
        "seed",
        "maximum_rows",
        "validation_share",
        "slice_cap",
        "account_cap",
        "decontaminate",
    )
    return AssemblySettings(
        form=plan.form,
        slices=tuple(data.get("slices", ("language",))),
        consent_key=rules.consent_key,
        consent_values=rules.consent_values,
        vouched=rules.vouched,
        triggers=rules.triggers,
        **{name: data[name] for name in named if name in data},
    )


def _columns(
    asked: Sequence[tuple[Row, FeatureAsked]], found: Sequence[Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    columns: dict[str, dict[str, float]] = {}
    for (row, one), values in zip(asked, found, strict=True):
        known = {f"{one.kind}_{name}": values[name] for name in FEATURES if name in values}
        columns.setdefault(row.row_id, {}).update(known)
    return columns
