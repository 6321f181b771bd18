"""One promise, kept by the twin and by MLflow alike."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from gyre_retraining.adapters.memory_registry import MemoryModelRegistry
from gyre_retraining.adapters.mlflow_registry import MlflowModelRegistry
from gyre_retraining.adapters.model_records import record_of, record_text
from gyre_retraining.adapters.worker.jobs import new_worker
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
from gyre_runtime.worker import Worker

MEMORY = 3_000_000_000
CONTENT = "c" * 64
Make = Callable[..., ModelRecord]
pytestmark = pytest.mark.asyncio(loop_scope="module")
NOW = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker() -> AsyncIterator[Worker]:
    """One for all tests of the module: MLflow takes seconds to import."""
    async with new_worker(memory=MEMORY, seconds=600) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def second() -> AsyncIterator[Worker]:
    """Another process of MLflow."""
    async with new_worker(memory=MEMORY, seconds=600) as one:
        yield one


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests of the module: MLflow takes seconds to make its tables."""
    return tmp_path_factory.mktemp("registry") / "below" / "mlflow.db"


@pytest.fixture(params=["memory", "mlflow"])
def registry(request: pytest.FixtureRequest, worker: Worker, book: Path) -> ModelRegistry:
    if request.param == "memory":
        return MemoryModelRegistry()
    return MlflowModelRegistry(worker, f"sqlite:///{book}")


@pytest.fixture
def make() -> Make:
    """Records of a tenant that no other test has."""
    tenant = f"tenant-{uuid.uuid4().hex}"

    def made(training_id: str = "t-1", name: str = "reader", content: str = CONTENT) -> ModelRecord:
        return replace(record(training_id, name, content), tenant=tenant)

    return made


def record(training_id: str = "t-1", name: str = "reader", content: str = CONTENT) -> ModelRecord:
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


async def test_a_record_survives_its_text() -> None:
    assert record_of(record_text(record())) == record()
    bare = replace(record(), dataset=None, making=None)
    assert record_of(record_text(bare)) == bare


async def test_versions_are_counted_by_name_and_hold_their_record(
    registry: ModelRegistry, make: Make
) -> None:
    first = await registry.register(make("t-1"))
    second = await registry.register(make("t-2"))
    other = await registry.register(make("t-3", "minilm"))
    assert (first.version, second.version, other.version) == (1, 2, 1)
    assert (first.model, first.record) == ("reader/1", make("t-1"))
    assert await registry.get(make().tenant, "reader", "2") == second
    assert await registry.versions(make().tenant) == [other, second, first]
    assert await registry.versions(make().tenant, "reader") == [second, first]


async def test_the_same_training_again_is_the_same_version(
    registry: ModelRegistry, make: Make
) -> None:
    first = await registry.register(make("t-1"))
    later = replace(make("t-1"), register_time=datetime(2027, 1, 1, tzinfo=UTC), metrics={})
    assert await registry.register(later) == first
    assert await registry.versions(make().tenant) == [first]


async def test_an_imported_model_is_known_by_its_content(
    registry: ModelRegistry, make: Make
) -> None:
    first = await registry.register(make(""))
    assert await registry.register(make("")) == first
    assert (await registry.register(make("", content="b" * 64))).version == 2


async def test_without_a_version_the_newest_is_got(registry: ModelRegistry, make: Make) -> None:
    assert await registry.get(make().tenant, "reader") is None
    for number in range(1, 12):
        await registry.register(make(f"t-{number}"))
    newest = await registry.get(make().tenant, "reader")
    assert newest is not None
    assert newest.version == 11
    assert [one.version for one in await registry.versions(make().tenant)] == list(range(11, 0, -1))


async def test_an_alias_points_to_one_version_and_is_moved_by_pointing_again(
    registry: ModelRegistry, make: Make
) -> None:
    await registry.register(make("t-1"))
    await registry.register(make("t-2"))
    assert (await registry.set_alias(make().tenant, "reader", "champion", 1)).aliases == (
        "champion",
    )
    await registry.set_alias(make().tenant, "reader", "candidate", 2)
    moved = await registry.set_alias(make().tenant, "reader", "champion", 2)
    assert moved == await registry.set_alias(make().tenant, "reader", "champion", 2)
    assert moved.aliases == ("candidate", "champion")
    assert await registry.get(make().tenant, "reader", "champion") == moved
    assert [one.aliases for one in await registry.versions(make().tenant)] == [moved.aliases, ()]


async def test_an_alias_is_taken_away_from_the_version_that_has_it_alone(
    registry: ModelRegistry, make: Make
) -> None:
    tenant = make().tenant
    await registry.remove_alias(tenant, "reader", "candidate", 1)
    await registry.register(make("t-1"))
    await registry.register(make("t-2"))
    await registry.set_alias(tenant, "reader", "candidate", 2)
    await registry.remove_alias(tenant, "reader", "candidate", 1)
    assert await registry.get(tenant, "reader", "candidate") is not None
    for _ in range(2):
        await registry.remove_alias(tenant, "reader", "candidate", 2)
        assert await registry.get(tenant, "reader", "candidate") is None


async def test_what_is_not_there_is_none_and_cannot_be_pointed_to(
    registry: ModelRegistry, make: Make
) -> None:
    await registry.register(make())
    for name, version in (
        ("reader", "2"),
        ("reader", "0"),
        ("reader", "champion"),
        ("reader", "1' or '1' = '1"),
        ("writer", ""),
        ("reader' or name like '%", ""),
        ("reader/1", ""),
    ):
        assert await registry.get(make().tenant, name, version) is None
        assert version or await registry.versions(make().tenant, name) == []
    for name, version in (("reader", 2), ("writer", 1), ("reader", 0)):
        with pytest.raises(ModelUnknown):
            await registry.set_alias(make().tenant, name, "champion", version)


async def test_a_tenant_sees_its_own_alone(registry: ModelRegistry, make: Make) -> None:
    other = f"{make().tenant}-too"
    await registry.register(make())
    theirs = await registry.register(replace(make(), tenant=other))
    assert theirs.version == 1
    assert await registry.versions(other) == [theirs]
    assert await registry.get("nobody", "reader") is None
    assert await registry.by_content_hash("nobody", "c" * 64) == []
    await registry.set_alias(other, "reader", "champion", 1)
    assert await registry.get(make().tenant, "reader", "champion") is None


async def test_versions_are_found_by_what_they_serve(registry: ModelRegistry, make: Make) -> None:
    first = await registry.register(make("t-1"))
    await registry.register(make("t-2", content="b" * 64))
    again = await registry.register(make("t-3"))
    other = await registry.register(make("t-4", "minilm"))
    assert await registry.by_content_hash(make().tenant, "c" * 64) == [other, again, first]
    assert await registry.by_content_hash(make().tenant, "a" * 64) == []
    assert await registry.by_content_hash(make().tenant, "' or 1=1") == []


async def test_files_are_fetched_into_another_folder(
    registry: ModelRegistry, make: Make, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    (kept / "1_Pooling").mkdir(parents=True)
    (kept / "1_Pooling" / "config.json").write_text("{}")
    stored = replace(make().stored, uri=str(kept))
    version = await registry.register(replace(make(), stored=stored))
    target = tmp_path / "here"
    target.mkdir()
    await registry.fetch(version, target)
    assert (target / "1_Pooling" / "config.json").read_text() == "{}"
    with pytest.raises(ModelUnknown):
        await registry.fetch(replace(version, version=7), target)


async def test_mlflow_shows_people_the_card_the_hashes_and_the_signature(
    worker: Worker, book: Path, make: Make
) -> None:
    await MlflowModelRegistry(worker, f"sqlite:///{book}").register(make())
    mine = (f"{make().tenant}.reader",)
    with sqlite3.connect(book) as connection:
        (described,) = connection.execute(
            "select description from model_versions where name = ?", mine
        ).fetchone()
        tags = dict(
            connection.execute("select key, value from model_version_tags where name = ?", mine)
        )
    assert described.startswith("# reader, version 1")
    assert tags["gyre.content_hash"] == "c" * 64
    assert tags["gyre.dataset_id"] == "d" * 64
    assert '"name": "messages"' in tags["mlflow.signature"]


async def test_two_processes_at_once_make_one_version(
    worker: Worker, second: Worker, book: Path, make: Make
) -> None:
    registries = [MlflowModelRegistry(one, f"sqlite:///{book}") for one in (worker, second)]
    for one in registries:
        await one.versions(make().tenant)  # MLflow is imported
    made = await asyncio.gather(*(one.register(make()) for one in registries))
    assert made[0] == made[1]
    assert await registries[0].versions(make().tenant) == [made[0]]


async def test_a_worker_that_was_killed_says_so_and_the_repetition_is_one_version(
    worker: Worker, second: Worker, book: Path, make: Make
) -> None:
    registry = MlflowModelRegistry(second, f"sqlite:///{book}")
    await registry.versions(make().tenant)
    asked = asyncio.create_task(registry.register(make()))
    await asyncio.sleep(0)
    assert second._process is not None
    second._process.kill()
    with pytest.raises(RegistryUnavailable):
        await asked
    again = MlflowModelRegistry(worker, f"sqlite:///{book}")
    assert (await again.register(make())).version == 1
    assert len(await again.versions(make().tenant)) == 1


async def test_a_server_that_is_away_is_said_to_be_unavailable(worker: Worker) -> None:
    with socket.socket() as one:  # bound, and nobody listens
        one.bind(("127.0.0.1", 0))
        registry = MlflowModelRegistry(worker, f"http://127.0.0.1:{one.getsockname()[1]}")
        with pytest.raises(RegistryUnavailable):
            await registry.versions("acme")


async def test_the_serving_process_does_not_import_mlflow() -> None:
    program = (
        "import sys, gyre_retraining.adapters.mlflow_registry, gyre_retraining.use_cases.models\n"
        "sys.exit('mlflow' in sys.modules)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await process.wait() == 0
