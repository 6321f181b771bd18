"""Datasets as trainings and callers see them: assembled, told to the lineage, described."""

from __future__ import annotations

from datetime import UTC, datetime

from gyre_retraining.dataset_ports import DatasetDamaged
from gyre_retraining.domain.models import DatasetFacts
from gyre_retraining.domain.trainings import Plan, TrainingImpossible
from gyre_retraining.ports import Assembled, Described
from gyre_retraining.use_cases.assembling import AssembleDatasets
from gyre_retraining.use_cases.lineage import RecordLineage


class PrepareDatasets:
    """`Datasets`."""

    def __init__(self, assembling: AssembleDatasets, lineage: RecordLineage) -> None:
        self._assembling = assembling
        self._lineage = lineage

    async def assemble(self, tenant: str, plan: Plan, as_of: datetime) -> Assembled:
        made = await self._assembling.assemble(tenant, plan, as_of)
        described = await self.describe(tenant, made.dataset_id)
        await self._lineage.dataset(
            tenant, made.dataset_id, described.create_time, plan.form, made.folder
        )
        return made

    async def find(self, tenant: str, dataset_id: str) -> Assembled:
        try:
            return await self._assembling.find(tenant, dataset_id)
        except DatasetDamaged as error:
            raise TrainingImpossible("damaged_dataset", str(error)) from error

    async def describe(self, tenant: str, dataset_id: str) -> Described:
        kept = await self._assembling.kept(tenant, dataset_id)
        manifest = kept.manifest
        facts = DatasetFacts(
            dataset_id=kept.dataset_id,
            form=str(manifest["form"]),
            rows=kept.rows,
            filters=tuple((one["filter"], one["rows"]) for one in manifest["filters"]),
            slices=dict(manifest["slices"]),
            as_of=datetime.fromtimestamp(manifest["as_of"], UTC),
        )
        return Described(facts, kept.folder, kept.create_time, kept.erased)
