"""Where files of models are kept, and where their versions are recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from gyre_retraining.domain.models import ModelRecord, ModelVersion, StoredModel
from gyre_retraining.domain.releases import Release


class RegistryUnavailable(Exception):
    """The registry does not answer now; try again later."""


class ModelStore(Protocol):
    """A folder for each version. What is in it never changes."""

    async def keep(self, tenant: str, name: str, key: str, folder: Path) -> StoredModel:
        """Copies a folder into the store: whole, durable and hashed when it returns. A key that is
        known returns what is kept, whatever is in `folder`, so that a repetition after a crash
        ends where the first one would have; an empty key stands for the content's hash.

        Raises `ModelRefused` for anything but safetensors and plain text, and `ModelDamaged` where
        what is kept is not what was hashed.
        """

    async def open(self, stored: StoredModel) -> Path:
        """The folder on this machine, after its hashes were checked. Raises `ModelAbsent` where
        there is none, and `ModelDamaged`."""


class ModelRegistry(Protocol):
    """Versions of models of a tenant, with aliases."""

    async def register(self, record: ModelRecord) -> ModelVersion:
        """The next version of its name. The same key again is the same version, unchanged.
        Raises `RegistryUnavailable`."""

    async def get(self, tenant: str, name: str, version: str = "") -> ModelVersion | None:
        """version: a number, an alias, or empty for the newest. Raises `RegistryUnavailable`."""

    async def versions(self, tenant: str, name: str = "") -> list[ModelVersion]:
        """By name, then newest first; empty name means all. Raises `RegistryUnavailable`."""

    async def by_content_hash(self, tenant: str, content_hash: str) -> list[ModelVersion]:
        """Versions that serve exactly these files, by name, then newest first.
        Raises `RegistryUnavailable`."""

    async def set_alias(self, tenant: str, name: str, alias: str, version: int) -> ModelVersion:
        """Points the alias there and nowhere else; may be repeated. Raises `ModelUnknown` and
        `RegistryUnavailable`."""

    async def remove_alias(self, tenant: str, name: str, alias: str, version: int) -> None:
        """Where it points to this version; else nothing changes. May be repeated. Raises
        `RegistryUnavailable`."""

    async def fetch(self, version: ModelVersion, folder: Path) -> None:
        """Copies the version's files into `folder`, for a machine that has them not. Unchecked:
        the store checks them. Raises `ModelUnknown` and `RegistryUnavailable`."""


class Releases(Protocol):
    """Releases of models that were heard of."""

    async def note(self, release: Release) -> None:
        """Keeps it; of two changes of one release the later stays, in whatever order they come.
        May be repeated."""

    async def of(self, tenant: str, name: str) -> list[Release]:
        """All of the name, by cause."""
