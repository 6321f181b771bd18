"""One promise, kept by the twin and by MLflow alike."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from gyre_retraining.adapters.memory_registry import MemoryModelRegistry
from gyre_retraining.adapters.mlflow_registry import MlflowModelRegistry
from gyre_retraining.adapters.model_records import record_of, record_text
from gyre_retraining.adapters.worker.process import Worker
from gyre_retraining.domain.models import (
    DatasetFacts,
    Licences,
    Making,
    ModelFile,
    ModelKind,
    ModelRecord,
    ModelUnknown,
    StoredModel,
    signature_of,
)
from gyre_retraining.registry_ports import ModelRegistry, RegistryUnavailable

MEMORY = 3_000_000_000
NOW = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)


@pytest.fixture(scope="module")
async def worker() -> AsyncIterator[Worker]:
    """One for all tests of the module: MLflow takes seconds to import."""
    async with Worker(memory=MEMORY, seconds=120) as one:
        yield one


@pytest.fixture(params=["memory", "mlflow"])
def registry(request: pytest.FixtureRequest, worker: Worker, tmp_path: Path) -> ModelRegistry:
    if request.param == "memory":
        return MemoryModelRegistry()
    return MlflowModelRegistry(worker, f"sqlite:///{tmp_path / 'registry' / 'mlflow.db'}")


def record(training_id: str = "t-1", name: str = "reader", content: str = "c" * 64) -> ModelRecord:
    return ModelRecord(
        tenant="acme",
        name=name,
        kind=ModelKind.LANGUAGE,
        stored=StoredModel(
            "/models/acme/reader/t-1",
            (ModelFile("model.safetensors", "f" * 64, 12),),
            content,
            "Tiny",
            8,
            3,
        ),
        register_time=NOW,
        signature=signature_of(ModelKind.LANGUAGE, 8),
        training_id=training_id,
        base_model="reader/1",
        metrics={"loss": 0.25},
        dataset=DatasetFacts("d" * 64, "thumbs", {"train": 90}, (("erased", 1),), {}, NOW),
        making=Making("language-kto", "e" * 64, "kto", "a 'reason'", "name: x\n", steps=3),
        licences=Licences("CC BY 4.0"),
    )


def test_a_record_survives_its_text() -> None:
    assert record_of(record_text(record())) == record()
    bare = replace(record(), dataset=None, making=None)
    assert record_of(record_text(bare)) == bare


async def test_versions_are_counted_by_name_and_hold_their_record(registry: ModelRegistry) -> None:
    first = await registry.register(record("t-1"))
    second = await registry.register(record("t-2"))
    other = await registry.register(record("t-3", "minilm"))
    assert (first.version, second.version, other.version) == (1, 2, 1)
    assert (first.model, first.record) == ("reader/1", record("t-1"))
    assert await registry.get("acme", "reader", "2") == second
    assert await registry.list("acme") == [other, second, first]
    assert await registry.list("acme", "reader") == [second, first]


async def test_the_same_training_again_is_the_same_version(registry: ModelRegistry) -> None:
    first = await registry.register(record("t-1"))
    later = replace(record("t-1"), register_time=datetime(2027, 1, 1, tzinfo=UTC), metrics={})
    assert await registry.register(later) == first
    assert await registry.list("acme") == [first]


async def test_an_imported_model_is_known_by_its_content(registry: ModelRegistry) -> None:
    first = await registry.register(record(""))
    assert await registry.register(record("")) == first
    assert (await registry.register(record("", content="b" * 64))).version == 2


async def test_without_a_version_the_newest_is_got(registry: ModelRegistry) -> None:
    assert await registry.get("acme", "reader") is None
    for number in range(1, 12):
        await registry.register(record(f"t-{number}"))
    newest = await registry.get("acme", "reader")
    assert newest is not None
    assert newest.version == 11
    assert [one.version for one in await registry.list("acme")] == list(range(11, 0, -1))


async def test_an_alias_points_to_one_version_and_is_moved_by_pointing_again(
    registry: ModelRegistry,
) -> None:
    await registry.register(record("t-1"))
    await registry.register(record("t-2"))
    assert (await registry.set_alias("acme", "reader", "champion", 1)).aliases == ("champion",)
    await registry.set_alias("acme", "reader", "candidate", 2)
    moved = await registry.set_alias("acme", "reader", "champion", 2)
    assert moved == await registry.set_alias("acme", "reader", "champion", 2)
    assert moved.aliases == ("candidate", "champion")
    assert await registry.get("acme", "reader", "champion") == moved
    assert [one.aliases for one in await registry.list("acme")] == [moved.aliases, ()]


async def test_what_is_not_there_is_none_and_cannot_be_pointed_to(registry: ModelRegistry) -> None:
    await registry.register(record())
    for name, version in (
        ("reader", "2"),
        ("reader", "0"),
        ("reader", "champion"),
        ("reader", "1' or '1' = '1"),
        ("writer", ""),
        ("reader' or name like '%", ""),
        ("reader/1", ""),
    ):
        assert await registry.get("acme", name, version) is None
        assert version or await registry.list("acme", name) == []
    for name, version in (("reader", 2), ("writer", 1), ("reader", 0)):
        with pytest.raises(ModelUnknown):
            await registry.set_alias("acme", name, "champion", version)


async def test_a_tenant_sees_its_own_alone(registry: ModelRegistry) -> None:
    await registry.register(record())
    theirs = await registry.register(replace(record(), tenant="globex"))
    assert theirs.version == 1
    assert await registry.list("globex") == [theirs]
    assert await registry.get("initech", "reader") is None
    assert await registry.by_content_hash("initech", "c" * 64) == []
    await registry.set_alias("globex", "reader", "champion", 1)
    assert await registry.get("acme", "reader", "champion") is None


async def test_versions_are_found_by_what_they_serve(registry: ModelRegistry) -> None:
    first = await registry.register(record("t-1"))
    await registry.register(record("t-2", content="b" * 64))
    again = await registry.register(record("t-3"))
    other = await registry.register(record("t-4", "minilm"))
    assert await registry.by_content_hash("acme", "c" * 64) == [other, again, first]
    assert await registry.by_content_hash("acme", "a" * 64) == []
    assert await registry.by_content_hash("acme", "' or 1=1") == []


async def test_files_are_fetched_into_another_folder(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    (kept / "1_Pooling").mkdir(parents=True)
    (kept / "1_Pooling" / "config.json").write_text("{}")
    stored = replace(record().stored, uri=str(kept))
    version = await registry.register(replace(record(), stored=stored))
    target = tmp_path / "here"
    target.mkdir()
    await registry.fetch(version, target)
    assert (target / "1_Pooling" / "config.json").read_text() == "{}"
    with pytest.raises(ModelUnknown):
        await registry.fetch(replace(version, version=7), target)


async def test_mlflow_shows_people_the_card_the_hashes_and_the_signature(
    worker: Worker, tmp_path: Path
) -> None:
    book = tmp_path / "mlflow.db"
    await MlflowModelRegistry(worker, f"sqlite:///{book}").register(record())
    with sqlite3.connect(book) as connection:
        (described,) = connection.execute("select description from model_versions").fetchone()
        tags = dict(connection.execute("select key, value from model_version_tags"))
    assert described.startswith("# reader, version 1")
    assert tags["gyre.content_hash"] == "c" * 64
    assert tags["gyre.dataset_id"] == "d" * 64
    assert '"name": "messages"' in tags["mlflow.signature"]


async def test_two_processes_at_once_make_one_version(worker: Worker, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    async with Worker(memory=MEMORY, seconds=120) as second:
        registries = [MlflowModelRegistry(one, uri) for one in (worker, second)]
        await registries[0].list("acme")  # the tables are there
        made = await asyncio.gather(*(one.register(record()) for one in registries))
    assert made[0] == made[1]
    assert await registries[0].list("acme") == [made[0]]


async def test_a_worker_that_was_killed_says_so_and_the_repetition_is_one_version(
    tmp_path: Path,
) -> None:
    async with Worker(memory=MEMORY, seconds=120) as one:
        registry = MlflowModelRegistry(one, f"sqlite:///{tmp_path / 'mlflow.db'}")
        await registry.list("acme")
        asked = asyncio.create_task(registry.register(record()))
        await asyncio.sleep(0)
        assert one._process is not None
        one._process.kill()
        with pytest.raises(RegistryUnavailable):
            await asked
        assert (await registry.register(record())).version == 1


def test_the_serving_process_does_not_import_mlflow() -> None:
    program = (
        "import sys, gyre_retraining.adapters.mlflow_registry, gyre_retraining.use_cases.models\n"
        "sys.exit('mlflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
