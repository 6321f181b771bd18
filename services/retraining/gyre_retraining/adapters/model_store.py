"""Models in folders: copied beside, hashed, fsynced, moved into place."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gyre_retraining.adapters.staging import fsync, staged
from gyre_retraining.domain.models import (
    ModelAbsent,
    ModelDamaged,
    ModelFile,
    ModelRefused,
    StoredModel,
    checked_name,
    content_hash,
    manifest,
)
from gyre_retraining.domain.weights import (
    LEFT_OUT,
    LENGTH,
    WEIGHTS,
    check_name,
    header_length,
    tensors,
)

MANIFEST = "SHA256SUMS"
BLOCK = 1 << 20
DEPTH = 3
"""Of a version's folder: tenant, name, key."""


class FolderModelStore:
    """`ModelStore`: `<root>/<tenant>/<name>/<key>`, with the `SHA256SUMS` that the model server
    checks at every load."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    async def keep(self, tenant: str, name: str, key: str, folder: Path) -> StoredModel:
        return await asyncio.to_thread(self._keep, tenant, name, key, folder)

    async def open(self, stored: StoredModel) -> Path:
        return await asyncio.to_thread(self._checked, stored)

    def _checked(self, stored: StoredModel) -> Path:
        """Where it was registered, or, fetched from another machine, at the same place in here."""
        told = Path(stored.uri)
        for folder in (told, self._root.joinpath(*told.parts[-DEPTH:])):
            if folder.is_dir():
                _check_hashes(folder, stored)
                return folder
        raise ModelAbsent(stored.uri)

    def _keep(self, tenant: str, name: str, key: str, folder: Path) -> StoredModel:
        place = self._root / checked_name(tenant) / checked_name(name)
        if key and (place / checked_name(key)).is_dir():
            return _kept(place / key)
        paths = _allowed(folder)
        with staged(place) as staging:
            files = [_copied(folder, path, staging) for path in paths]
            _seal(staging, files)
            return _published(staging, place / (key or content_hash(files)))


def _allowed(folder: Path) -> list[str]:
    """Paths of what is kept, in their order. Raises `ModelRefused`."""
    if not folder.is_dir():
        raise ModelRefused("there is no folder of a model")
    paths = sorted(_files(folder))
    for path in paths:
        _check(folder / path, path)
    if not any(path.endswith(WEIGHTS) for path in paths):
        raise ModelRefused("the folder holds no safetensors")
    return paths


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ModelRefused(f"{name}: only plain files and folders are kept")
        if path.is_file() and name not in LEFT_OUT:
            yield name


def _check(file: Path, path: str) -> None:
    with file.open("rb") as source:
        head = source.read(LENGTH)
        check_name(path, head)
        if path.endswith(WEIGHTS):
            size = file.stat().st_size
            length = header_length(head, size, path)
            tensors(source.read(length), size - LENGTH - length, path)


def _copied(folder: Path, path: str, staging: Path) -> ModelFile:
    target = staging / path
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with (folder / path).open("rb") as source, target.open("wb") as sink:
        while block := source.read(BLOCK):
            digest.update(block)
            size += sink.write(block)
        sink.flush()
        os.fsync(sink.fileno())
    return ModelFile(path, digest.hexdigest(), size)


def _seal(staging: Path, files: list[ModelFile]) -> None:
    with (staging / MANIFEST).open("w") as sink:
        sink.write(manifest(files))
        sink.flush()
        os.fsync(sink.fileno())
    for folder in (*(path for path in staging.rglob("*") if path.is_dir()), staging):
        fsync(folder)


def _published(staging: Path, target: Path) -> StoredModel:
    try:
        staging.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was first
            raise
    fsync(target.parent)
    fsync(target.parent.parent)
    return _kept(target)


def _kept(folder: Path) -> StoredModel:
    """As its manifest says. Raises `ModelDamaged` where it is not so."""
    lines = (folder / MANIFEST).read_text().splitlines()
    told = {path: digest for digest, _, path in (line.partition("  ") for line in lines)}
    files = [_hashed(folder, path) for path in sorted(told)]
    for file in files:
        if file.sha256 != told[file.path]:
            raise ModelDamaged(f"{folder}: {file.path} is not what was kept")
    return StoredModel(
        uri=str(folder),
        files=tuple(files),
        content_hash=content_hash(files),
        parameters=sum(_parameters(folder / one.path) for one in files),
        **_described(folder),
    )


def _check_hashes(folder: Path, stored: StoredModel) -> None:
    for file in stored.files:
        if _hashed(folder, file.path) != file:
            raise ModelDamaged(f"{folder}: {file.path} is not what was registered")


def _hashed(folder: Path, path: str) -> ModelFile:
    try:
        with (folder / path).open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
            return ModelFile(path, digest, os.fstat(source.fileno()).st_size)
    except OSError as error:
        raise ModelDamaged(f"{folder}: {path} cannot be read") from error


def _parameters(file: Path) -> int:
    if file.suffix != WEIGHTS:
        return 0
    with file.open("rb") as source:
        size = file.stat().st_size
        length = header_length(source.read(LENGTH), size, file.name)
        found = tensors(source.read(length), size - LENGTH - length, file.name)
    return sum(one.elements for one in found)


def _described(folder: Path) -> dict[str, Any]:
    """What `config.json` says; nothing where it is missing or strange."""
    try:
        told = json.loads((folder / "config.json").read_text())
        names, size = told.get("architectures") or [""], told.get("hidden_size") or 0
        return {"architecture": str(names[0]), "dimension": int(size)}
    except (OSError, ValueError, AttributeError, TypeError, LookupError):
        return {}
