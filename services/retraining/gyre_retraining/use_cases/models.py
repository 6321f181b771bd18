"""What is in the registry."""

from __future__ import annotations

from pathlib import Path

from gyre_retraining.domain.card import card
from gyre_retraining.domain.models import ModelUnknown, ModelVersion
from gyre_retraining.registry_ports import ModelRegistry, ModelStore


class BrowseModels:
    """Reads versions, points aliases, opens folders."""

    def __init__(self, registry: ModelRegistry, store: ModelStore) -> None:
        self._registry = registry
        self._store = store

    async def models(self, tenant: str, name: str = "") -> list[ModelVersion]:
        """By name, then newest first. Raises `RegistryUnavailable`."""
        return await self._registry.list(tenant, name)

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
        """model: `name/version`, `name/alias` or a name. Its files on this machine, checked.
        Raises `ModelUnknown`, `ModelDamaged` and `RegistryUnavailable`."""
        name, _, version = model.partition("/")
        return await self._store.open((await self.model(tenant, name, version)).record.stored)

    async def point(self, tenant: str, name: str, alias: str, version: int) -> ModelVersion:
        """May be repeated. Raises `ModelUnknown` and `RegistryUnavailable`."""
        return await self._registry.set_alias(tenant, name, alias, version)
