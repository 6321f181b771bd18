"""A folder that a training made becomes a version in the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gyre_retraining.domain.lineage import model_facts
from gyre_retraining.domain.models import (
    DatasetFacts,
    Licences,
    Making,
    ModelKind,
    ModelRecord,
    ModelVersion,
    checked_name,
    signature_of,
)
from gyre_retraining.lineage_ports import LineageStore
from gyre_retraining.registry_ports import ModelRegistry, ModelStore


@dataclass(frozen=True, slots=True)
class Made:
    """What a training has to tell of its model. folder: where the job wrote it. base_model:
    `name/version`, or a name where it is in no registry. training_id: empty for an import."""

    tenant: str
    name: str
    kind: ModelKind
    folder: Path
    training_id: str = ""
    base_model: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    dataset: DatasetFacts | None = None
    making: Making | None = None
    tracking_run_id: str = ""


class RegisterModels:
    """Keep, record, tell the lineage. Each step may be repeated, so after a crash at any point a
    repetition ends with the one version."""

    def __init__(
        self,
        store: ModelStore,
        registry: ModelRegistry,
        lineage: LineageStore,
        licences: Licences,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._registry = registry
        self._lineage = lineage
        self._licences = licences
        self._clock = clock

    async def register(self, made: Made) -> ModelVersion:
        """The same training (or, imported, the same files) again is the same version.
        Raises `ModelRefused`, `ModelDamaged` and `RegistryUnavailable`."""
        name = checked_name(made.name)
        stored = await self._store.keep(made.tenant, name, made.training_id, made.folder)
        record = ModelRecord(
            tenant=made.tenant,
            name=name,
            kind=made.kind,
            stored=stored,
            register_time=self._clock(),
            signature=signature_of(made.kind, stored.dimension),
            training_id=made.training_id,
            base_model=made.base_model,
            metrics=dict(made.metrics),
            dataset=made.dataset,
            making=made.making,
            licences=self._licences,
            tracking_run_id=made.tracking_run_id,
        )
        version = await self._registry.register(record)
        await self._lineage.write(made.tenant, model_facts(version))
        return version
