"""The registry of models in MLflow, by way of the worker's process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gyre_runtime.worker import JobFailed, Worker

from gyre_retraining.adapters.model_records import record_text, version_of
from gyre_retraining.domain.models import NAME, ModelRecord, ModelUnknown, ModelVersion
from gyre_retraining.registry_ports import RegistryUnavailable


class MlflowModelRegistry:
    """`ModelRegistry`. uri: `sqlite:///<file>`, or `http(s)://` of a server, which keeps the files
    too (in S3, where it is set up so)."""

    def __init__(self, worker: Worker, uri: str) -> None:
        self._worker = worker
        self._uri = uri

    async def register(self, record: ModelRecord) -> ModelVersion:
        return version_of(await self._ask("register", record=record_text(record)))

    async def get(self, tenant: str, name: str, version: str = "") -> ModelVersion | None:
        if not (NAME.fullmatch(name) and (not version or NAME.fullmatch(version))):
            return None
        found = await self._ask("get", tenant=tenant, name=name, version=version)
        return version_of(found) if found else None

    async def versions(self, tenant: str, name: str = "") -> list[ModelVersion]:
        if name and not NAME.fullmatch(name):
            return []
        found = await self._ask("versions", tenant=tenant, name=name)
        return [version_of(one) for one in found]

    async def by_content_hash(self, tenant: str, content_hash: str) -> list[ModelVersion]:
        if not content_hash.isalnum():
            return []
        found = await self._ask("by_content_hash", tenant=tenant, content_hash=content_hash)
        return [version_of(one) for one in found]

    async def set_alias(self, tenant: str, name: str, alias: str, version: int) -> ModelVersion:
        wanted = {"tenant": tenant, "name": name, "alias": alias, "version": str(version)}
        found = await self._ask("set_alias", **wanted) if NAME.fullmatch(name) else None
        if not found:
            raise ModelUnknown(f"{name}/{version}")
        return version_of(found)

    async def remove_alias(self, tenant: str, name: str, alias: str, version: int) -> None:
        wanted = {"tenant": tenant, "name": name, "alias": alias, "version": version}
        if NAME.fullmatch(name):
            await self._ask("remove_alias", **wanted)

    async def fetch(self, version: ModelVersion, folder: Path) -> None:
        record = version.record
        wanted = {"tenant": record.tenant, "name": record.name, "version": version.version}
        if not await self._ask("fetch", **wanted, folder=str(folder)):
            raise ModelUnknown(version.model)

    async def _ask(self, job: str, **given: Any) -> Any:
        try:
            return await self._worker.ask(job, {"uri": self._uri, **given})
        except JobFailed as error:
            raise RegistryUnavailable(str(error)) from error
