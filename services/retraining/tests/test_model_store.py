"""A model's folder is kept whole, checked and once, whoever is killed when."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import pickle
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from gyre_retraining.adapters.memory_registry import MemoryLineageStore, MemoryModelRegistry
from gyre_retraining.adapters.model_store import FolderModelStore
from gyre_retraining.adapters.staging import ABANDONED, UNFINISHED
from gyre_retraining.domain.models import (
    Licences,
    ModelAbsent,
    ModelDamaged,
    ModelKind,
    ModelRefused,
    ModelVersion,
)
from gyre_retraining.use_cases.importing import Import, ImportModels
from gyre_retraining.use_cases.models import BrowseModels
from gyre_retraining.use_cases.registering import Made, RegisterModels


def safetensors(tensors: Mapping[str, Any], data: bytes) -> bytes:
    header = json.dumps(tensors).encode()
    return len(header).to_bytes(8, "little") + header + data


def tensor(begin: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


WEIGHTS = safetensors(
    {"__metadata__": {"format": "pt"}, "a": tensor(0, 24, [2, 3]), "b": tensor(24, 28, [2], "F16")},
    bytes(range(28)),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "output"
    (made / "1_Pooling").mkdir(parents=True)
    (made / "model.safetensors").write_bytes(WEIGHTS)
    (made / "config.json").write_text('{"architectures": ["Tiny"], "hidden_size": 8}')
    (made / "1_Pooling" / "config.json").write_text("{}")
    (made / "README.md").write_text("rows of the training data")
    (made / ".gitattributes").write_text("*.safetensors filter=lfs")
    return made


@pytest.fixture
def store(tmp_path: Path) -> FolderModelStore:
    return FolderModelStore(tmp_path / "models")


def registering(store: FolderModelStore) -> tuple[RegisterModels, MemoryModelRegistry]:
    registry = MemoryModelRegistry()
    return RegisterModels(store, registry, MemoryLineageStore(), Licences()), registry


async def test_what_is_kept_is_hashed_counted_and_without_the_librarys_readme(
    store: FolderModelStore, folder: Path
) -> None:
    kept = await store.keep("acme", "reader", "t-1", folder)
    assert [one.path for one in kept.files] == [
        "1_Pooling/config.json",
        "config.json",
        "model.safetensors",
    ]
    assert kept.files[2].sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert kept.files[2].size_bytes == len(WEIGHTS)
    assert (kept.parameters, kept.architecture, kept.dimension) == (8, "Tiny", 8)
    assert not (Path(kept.uri) / "README.md").exists()
    assert not (Path(kept.uri) / ".gitattributes").exists()
    assert await store.open(kept) == Path(kept.uri)


async def test_the_manifest_is_what_sha256sum_checks_and_its_hash_is_the_contents(
    store: FolderModelStore, folder: Path
) -> None:
    kept = await store.keep("acme", "reader", "t-1", folder)
    words = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    checked = await asyncio.create_subprocess_exec(*words, cwd=kept.uri)
    assert await checked.wait() == 0
    text = (Path(kept.uri) / "SHA256SUMS").read_bytes()
    assert hashlib.sha256(text).hexdigest() == kept.content_hash


async def test_a_key_that_is_known_returns_what_is_kept_whatever_comes(
    store: FolderModelStore, folder: Path
) -> None:
    kept = await store.keep("acme", "reader", "t-1", folder)
    (folder / "config.json").write_text("{}")
    assert await store.keep("acme", "reader", "t-1", folder) == kept
    other = await store.keep("acme", "reader", "t-2", folder)
    assert other.content_hash != kept.content_hash


async def test_an_import_is_known_by_its_content(store: FolderModelStore, folder: Path) -> None:
    first = await store.keep("acme", "reader", "", folder)
    assert await store.keep("acme", "reader", "", folder) == first
    (folder / "config.json").write_text("{}")
    assert (await store.keep("acme", "reader", "", folder)).uri != first.uri


def pickled(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": 1}))


def hidden_pickle(folder: Path) -> None:
    (folder / "tokenizer.json").write_bytes(pickle.dumps({"a": 1}))


def archive(folder: Path) -> None:
    (folder / "vocab.txt").write_bytes(b"PK\x03\x04 and so on")


def code(folder: Path) -> None:
    (folder / "modeling_tiny.py").write_text("print('run me')")


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def link(folder: Path) -> None:
    (folder / "secret.json").symlink_to("/etc/hostname")


def renamed_pickle(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps({"a": 1}))


def cut_off(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(WEIGHTS[:-1])


def too_long(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(WEIGHTS + b"more")


def overlapping(folder: Path) -> None:
    tensors = {"a": tensor(0, 8, [2]), "b": tensor(4, 12, [2])}
    (folder / "model.safetensors").write_bytes(safetensors(tensors, bytes(12)))


def wrong_shape(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(safetensors({"a": tensor(0, 8, [3])}, bytes(8)))


def negative(folder: Path) -> None:
    tensors = {"a": tensor(0, 8, [-1, -2])}
    (folder / "model.safetensors").write_bytes(safetensors(tensors, bytes(8)))


def strange_header(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(safetensors([], b""))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "spoil",
    [
        pickled,
        hidden_pickle,
        archive,
        code,
        no_weights,
        link,
        renamed_pickle,
        cut_off,
        too_long,
        overlapping,
        wrong_shape,
        negative,
        strange_header,
    ],
)
async def test_what_is_no_model_is_refused_and_leaves_nothing(
    store: FolderModelStore, folder: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(folder)
    with pytest.raises(ModelRefused):
        await store.keep("acme", "reader", "t-1", folder)
    assert not any((tmp_path / "models").rglob("*"))


@pytest.mark.parametrize("name", ["../reader", "", ".hidden", "a/b", "x" * 65, "new\nline"])
async def test_a_name_that_would_be_another_folder_is_refused(
    store: FolderModelStore, folder: Path, name: str
) -> None:
    with pytest.raises(ModelRefused):
        await store.keep("acme", name, "t-1", folder)
    with pytest.raises(ModelRefused):
        await store.keep(name, "reader", "t-1", folder)


async def test_a_file_that_changed_on_the_disk_is_noticed(
    store: FolderModelStore, folder: Path
) -> None:
    kept = await store.keep("acme", "reader", "t-1", folder)
    weights = Path(kept.uri) / "model.safetensors"
    weights.write_bytes(WEIGHTS[:-1] + b"\xff")
    with pytest.raises(ModelDamaged, match=r"model\.safetensors"):
        await store.open(kept)
    with pytest.raises(ModelDamaged):
        await store.keep("acme", "reader", "t-1", folder)
    weights.unlink()
    with pytest.raises(ModelDamaged):
        await store.open(kept)


async def test_a_training_that_is_registered_twice_is_one_version(
    store: FolderModelStore, folder: Path
) -> None:
    register, registry = registering(store)
    made = Made("acme", "reader", ModelKind.LANGUAGE, folder, training_id="t-1")
    first = await register.register(made)
    assert await register.register(made) == first
    assert len(await registry.versions("acme")) == 1


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from gyre_retraining.adapters import model_store

left = int(sys.argv[3])
fsync, rename = os.fsync, Path.rename

def count(handle):
    global left
    fsync(handle)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

os.fsync = count
store = model_store.FolderModelStore(Path(sys.argv[1]))
asyncio.run(store.keep("acme", "reader", "t-1", Path(sys.argv[2])))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("fsyncs", [1, 2, 3, 4, 5, 6, 7, 8, 0])
async def test_a_kill_before_the_record_is_repaired_by_a_repetition(
    store: FolderModelStore, folder: Path, tmp_path: Path, fsyncs: int
) -> None:
    """fsyncs: after so many the process dies; 0: all is written, nothing recorded."""
    words = [sys.executable, "-c", KILLED, str(tmp_path / "models"), str(folder), str(fsyncs)]
    process = await asyncio.create_subprocess_exec(*words)
    assert await process.wait() == -signal.SIGKILL
    register, registry = registering(store)
    made = Made("acme", "reader", ModelKind.LANGUAGE, folder, training_id="t-1")
    version = await register.register(made)
    assert [one.version for one in await registry.versions("acme")] == [1]
    assert (await store.open(version.record.stored) / "model.safetensors").read_bytes() == WEIGHTS


async def test_what_a_killed_process_left_is_swept_but_not_what_another_copies(
    store: FolderModelStore, folder: Path, tmp_path: Path
) -> None:
    place = tmp_path / "models" / "acme" / "reader"
    for name, age in ((f"{UNFINISHED}old", ABANDONED + 60), (f"{UNFINISHED}new", 0)):
        (place / name).mkdir(parents=True)
        then = (place / name).stat().st_mtime - age
        os.utime(place / name, (then, then))
    await store.keep("acme", "reader", "t-1", folder)
    assert sorted(one.name for one in place.iterdir()) == [f"{UNFINISHED}new", "t-1"]


async def browsed(
    store: FolderModelStore, folder: Path
) -> tuple[BrowseModels, ModelVersion, MemoryModelRegistry]:
    register, registry = registering(store)
    made = Made("acme", "reader", ModelKind.LANGUAGE, folder, training_id="t-1")
    return BrowseModels(registry, store), await register.register(made), registry


async def test_a_folder_is_found_by_version_alias_or_name(
    store: FolderModelStore, folder: Path
) -> None:
    browse, version, _ = await browsed(store, folder)
    await browse.point("acme", "reader", "champion", 1)
    for model in ("reader", "reader/1", "reader/champion"):
        assert await browse.folder("acme", model) == Path(version.record.stored.uri)


async def test_a_version_that_another_machine_has_is_fetched_and_checked(
    store: FolderModelStore, folder: Path, tmp_path: Path
) -> None:
    _, version, _ = await browsed(store, folder)
    elsewhere = tmp_path / "elsewhere"
    os.rename(version.record.stored.uri, elsewhere)
    with pytest.raises(ModelAbsent):
        await store.open(version.record.stored)

    async def fetch(_: ModelVersion, target: Path) -> None:
        for file in elsewhere.rglob("*.*"):
            place = target / file.relative_to(elsewhere)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_bytes())

    registry = MemoryModelRegistry()
    registry.fetch = fetch  # type: ignore[method-assign]
    await registry.register(version.record)
    here = FolderModelStore(tmp_path / "here")
    found = await BrowseModels(registry, here).folder("acme", "reader/1")
    assert found == tmp_path / "here" / "acme" / "reader" / "t-1"
    assert (found / "model.safetensors").read_bytes() == WEIGHTS
    assert await here.open(version.record.stored) == found  # once: it is here now


async def test_a_model_of_the_settings_is_imported_once_and_is_the_champion(
    store: FolderModelStore, folder: Path
) -> None:
    register, registry = registering(store)
    imports = ImportModels(register, registry, {"reader": Import(ModelKind.LANGUAGE, folder)})
    first = await imports.ensure("acme", "reader")
    assert first is not None
    assert (first.model, first.aliases) == ("reader/1", ("champion",))
    (folder / "config.json").write_text('{"hidden_size": 9}')
    assert await imports.ensure("acme", "reader") == first
    assert await imports.ensure("acme", "writer") is None
    assert len(await registry.versions("acme")) == 1


async def test_an_import_that_was_cut_short_gets_its_alias_by_a_repetition(
    store: FolderModelStore, folder: Path
) -> None:
    register, registry = registering(store)
    await register.register(Made("acme", "reader", ModelKind.LANGUAGE, folder))
    imports = ImportModels(register, registry, {"reader": Import(ModelKind.LANGUAGE, folder)})
    found = await imports.ensure("acme", "reader")
    assert found is not None
    assert found.aliases == ("champion",)


async def test_an_import_does_not_take_the_alias_from_a_model_that_was_trained(
    store: FolderModelStore, folder: Path
) -> None:
    register, registry = registering(store)
    imports = ImportModels(register, registry, {"reader": Import(ModelKind.LANGUAGE, folder)})
    await imports.ensure("acme", "reader")
    made = Made("acme", "reader", ModelKind.LANGUAGE, folder, training_id="t-1")
    trained = await register.register(made)
    await registry.set_alias("acme", "reader", "champion", trained.version)
    found = await imports.ensure("acme", "reader")
    assert found is not None
    assert (found.model, found.aliases) == ("reader/2", ("champion",))
