"""What is in the registry."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from gyre_retraining.domain.card import card
from gyre_retraining.domain.models import ModelAbsent, ModelDamaged, ModelUnknown, ModelVersion
from gyre_retraining.registry_ports import ModelRegistry, ModelStore


class BrowseModels:
    """Reads versions, points aliases, opens folders."""

    def __init__(self, registry: ModelRegistry, store: ModelStore) -> None:
        self._registry = registry
        self._store = store

    async def models(self, tenant: str, name: str = "") -> list[ModelVersion]:
        """By name, then newest first. Raises `RegistryUnavailable`."""
        return await self._registry.versions(tenant, name)

    async def model(self, tenant: str, name: str, version: str = "") -> ModelVersion:
        """version: a number, an alias, or empty for the newest.
        Raises `ModelUnknown` and `RegistryUnavailable`."""
        found = await self._registry.get(tenant, name, version)
        if found is None:
            raise ModelUnknown(f"{name}/{version}" if version else name)
        return found

    def card(self, version: ModelVersion) -> str:
        """Markdown, made of the record."""
        return card(version)

    async def folder(self, tenant: str, model: str) -> Path:
        """model: `name/version`, `name/alias` or a name. Its files on this machine, checked; they
        are fetched where they are not here. Raises `ModelUnknown`, `ModelDamaged` and
        `RegistryUnavailable`."""
        name, _, number = model.partition("/")
        version = await self.model(tenant, name, number)
        try:
            return await self._store.open(version.record.stored)
        except ModelAbsent:
            return await self._fetched(version)

    async def _fetched(self, version: ModelVersion) -> Path:
        record = version.record
        key = Path(record.stored.uri).name
        with TemporaryDirectory(prefix="gyre-model-") as folder:
            await self._registry.fetch(version, Path(folder))
            stored = await self._store.keep(record.tenant, record.name, key, Path(folder))
        if stored.content_hash != record.stored.content_hash:
            raise ModelDamaged(f"{version.model}: what was fetched is not what was registered")
        return Path(stored.uri)

    async def point(self, tenant: str, name: str, alias: str, version: int) -> ModelVersion:
        """May be repeated. Raises `ModelUnknown` and `RegistryUnavailable`."""
        return await self._registry.set_alias(tenant, name, alias, version)
