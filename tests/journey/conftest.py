"""Every service in one process, on one bus in memory; only the doors between them are real."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gyre_embedding.app
import gyre_embedding.settings
import gyre_evaluation.adapters.tables
import gyre_evaluation.app
import gyre_evaluation.settings
import gyre_feedback.adapters.tables
import gyre_feedback.app
import gyre_feedback.settings
import gyre_inference.adapters.tables
import gyre_inference.app
import gyre_inference.settings
import gyre_ingestion.adapters.tables
import gyre_ingestion.app
import gyre_ingestion.settings
import gyre_retraining.adapters.tables
import gyre_retraining.app
import gyre_retraining.settings
import gyre_retrieval.adapters.tables
import gyre_retrieval.app
import gyre_retrieval.settings
import pytest
from gyre_client import ClientSettings, Gyre
from gyre_embedding.adapters.memory import MemoryEmbeddingModel
from gyre_embedding.adapters.memory_embedders import MemoryModelServer, MemoryShelf
from gyre_feedback.adapters.memory import MemoryFeatureStore
from gyre_inference.adapters.memory import MemoryLanguageModel
from gyre_ingestion.adapters.memory import MemoryContentStore
from gyre_ingestion.adapters.memory_parsing import MailRedactor, PlainParser, WordTokenizer
from gyre_local.ports import free_port
from gyre_retraining.adapters.memory_registry import MemoryModelRegistry
from gyre_retrieval.adapters.memory import MemoryVectorIndex
from gyre_runtime.bus import Bus
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database
from gyre_runtime.process import Service
from gyre_runtime.settings import ApiKey

KEYS = {
    name: ApiKey(tenant=name, principal="backend", roles=frozenset({"admin"}))
    for name in ("acme", "globex")
} | {
    f"{name}-evaluation": ApiKey(
        tenant=name, principal="evaluation", roles=frozenset({"reader", "reviewer"})
    )
    for name in ("acme", "globex")
}
SERVICES = (
    "ingestion",
    "embedding",
    "retrieval",
    "inference",
    "feedback",
    "evaluation",
    "retraining",
)


@dataclass
class Loop:
    """The services, the bus between them, and the twins that a test may hurt."""

    exchange: MemoryExchange
    ports: dict[str, int]
    model: MemoryLanguageModel
    embedder: MemoryEmbeddingModel
    services: list[Service] = field(default_factory=list)

    def client(self, tenant: str = "acme") -> Gyre:
        """A product backend of `tenant`."""
        return Gyre(self.settings(tenant))

    def settings(self, tenant: str = "acme") -> ClientSettings:
        """Where the services are, and the key of `tenant`."""
        addresses: dict[str, Any] = {
            f"{name}_address": f"127.0.0.1:{port}" for name, port in self.ports.items()
        }
        return ClientSettings(api_key=tenant, **addresses)


@pytest.fixture
async def loop(tmp_path: Path) -> AsyncIterator[Loop]:
    """All services, started in the order in which they need one another."""
    ports = {name: free_port() for name in SERVICES}
    loop = Loop(MemoryExchange(), ports, MemoryLanguageModel(), MemoryEmbeddingModel())
    loop.services = [_embedding(loop), _retrieval(loop, tmp_path), _ingestion(loop, tmp_path)]
    loop.services.append(_inference(loop, tmp_path))
    loop.services.append(_feedback(loop, tmp_path))
    loop.services.append(_evaluation(loop, tmp_path))
    loop.services.append(_retraining(loop, tmp_path))
    for service in loop.services:
        await service.start()
    yield loop
    for service in reversed(loop.services):
        await service.stop()


def _common(loop: Loop, name: str, folder: Path) -> dict[str, Any]:
    addresses = {f"{one}_address": f"127.0.0.1:{port}" for one, port in loop.ports.items()}
    return {
        **addresses,
        "grpc_address": f"127.0.0.1:{loop.ports[name]}",
        "metrics_port": 0,
        "api_keys": KEYS,
        "database_url": f"sqlite+aiosqlite:///{folder / name}.db",
    }


def _embedding(loop: Loop) -> Service:
    settings = gyre_embedding.settings.Settings(**_common(loop, "embedding", Path()))
    bus = Bus(settings, "embedding", link=MemoryLink(loop.exchange))
    shelf = MemoryShelf({})
    server = MemoryModelServer(shelf)
    return gyre_embedding.app.build(
        settings, bus=bus, model=loop.embedder, models=server, shelf=shelf, server=server
    )


def _retrieval(loop: Loop, folder: Path) -> Service:
    settings = gyre_retrieval.settings.Settings(**_common(loop, "retrieval", folder))
    database = Database(str(settings.database_url), gyre_retrieval.adapters.tables.metadata)
    bus = Bus(settings, "retrieval", database=database, link=MemoryLink(loop.exchange))
    return gyre_retrieval.app.build(settings, bus=bus, database=database, index=MemoryVectorIndex())


def _ingestion(loop: Loop, folder: Path) -> Service:
    settings = gyre_ingestion.settings.Settings(
        **_common(loop, "ingestion", folder), chunk_tokens=64
    )
    database = Database(str(settings.database_url), gyre_ingestion.adapters.tables.metadata)
    bus = Bus(settings, "ingestion", database=database, link=MemoryLink(loop.exchange))
    return gyre_ingestion.app.build(
        settings,
        bus=bus,
        database=database,
        contents=MemoryContentStore(lambda: datetime.now(UTC)),
        parser=PlainParser(),
        redactor=MailRedactor(),
        tokenizer=WordTokenizer(),
    )


def _inference(loop: Loop, folder: Path) -> Service:
    settings = gyre_inference.settings.Settings(
        **_common(loop, "inference", folder), erasure_grace=0.0
    )
    database = Database(str(settings.database_url), gyre_inference.adapters.tables.metadata)
    bus = Bus(settings, "inference", database=database, link=MemoryLink(loop.exchange))
    return gyre_inference.app.build(settings, bus=bus, database=database, model=loop.model)


def _feedback(loop: Loop, folder: Path) -> Service:
    settings = gyre_feedback.settings.Settings(
        **_common(loop, "feedback", folder), projection_pause=0.05, features_pause=0.05
    )
    database = Database(str(settings.database_url), gyre_feedback.adapters.tables.metadata)
    bus = Bus(settings, "feedback", database=database, link=MemoryLink(loop.exchange))
    features = MemoryFeatureStore()
    return gyre_feedback.app.build(settings, bus=bus, database=database, features=features)


def _evaluation(loop: Loop, folder: Path) -> Service:
    settings = gyre_evaluation.settings.Settings(
        **_common(loop, "evaluation", folder),
        evaluation_keys={name: f"{name}-evaluation" for name in ("acme", "globex")},
        online_share=1.0,
        mlflow_tracking_uri="",
    )
    database = Database(str(settings.database_url), gyre_evaluation.adapters.tables.metadata)
    bus = Bus(settings, "evaluation", database=database, link=MemoryLink(loop.exchange))
    return gyre_evaluation.app.build(settings, bus=bus, database=database)


def _retraining(loop: Loop, folder: Path) -> Service:
    settings = gyre_retraining.settings.Settings(
        **_common(loop, "retraining", folder),
        retraining_keys={name: f"{name}-evaluation" for name in ("acme", "globex")},
        jobs_folder=folder / "jobs",
        datasets_folder=folder / "datasets",
        models=folder / "models",
    )
    database = Database(str(settings.database_url), gyre_retraining.adapters.tables.metadata)
    bus = Bus(settings, "retraining", database=database, link=MemoryLink(loop.exchange))
    return gyre_retraining.app.build(
        settings, bus=bus, database=database, registry=MemoryModelRegistry()
    )
