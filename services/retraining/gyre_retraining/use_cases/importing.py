"""Models that were there before any training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gyre_retraining.domain.models import CHAMPION, ModelKind, ModelVersion
from gyre_retraining.registry_ports import ModelRegistry
from gyre_retraining.use_cases.registering import Made, RegisterModels


@dataclass(frozen=True, slots=True)
class Import:
    """A model's folder, by setting."""

    kind: ModelKind
    folder: Path


class ImportModels:
    """Registers a model of the settings for a tenant when it is first asked for."""

    def __init__(
        self, register: RegisterModels, registry: ModelRegistry, imports: Mapping[str, Import]
    ) -> None:
        self._register = register
        self._registry = registry
        self._imports = imports

    async def ensure(self, tenant: str, name: str) -> ModelVersion | None:
        """The newest version of the name; where there is none, the import, which becomes its
        champion. None where nothing of this name is to be imported. May be repeated.

        Raises `ModelRefused`, `ModelDamaged` and `RegistryUnavailable`.
        """
        known = await self._registry.get(tenant, name)
        wanted = self._imports.get(name)
        if wanted is None or (known is not None and known.record.training_id):
            return known
        made = Made(tenant, name, wanted.kind, wanted.folder)
        version = known or await self._register.register(made)
        if await self._registry.get(tenant, name, CHAMPION) is None:
            return await self._registry.set_alias(tenant, name, CHAMPION, version.version)
        return version
