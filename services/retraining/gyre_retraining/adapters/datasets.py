"""Datasets as folders of Parquet files, each named by the hash of its manifest."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path

from gyre_retraining.adapters.parquet import write_lineage, write_split
from gyre_retraining.adapters.staging import fsync, staged
from gyre_retraining.dataset_ports import DatasetDamaged, KeptDataset
from gyre_retraining.domain.manifest import Assembly, FileFacts, dataset_id, manifest_of
from gyre_retraining.domain.rows import canonical
from gyre_retraining.domain.trainings import DatasetUnknown

MANIFEST, LINEAGE = "manifest.json", "lineage.parquet"
_ID = re.compile(r"[0-9a-f]{64}")


class FolderDatasetStore:
    """`DatasetStore`: a folder appears whole, by renaming, or not at all."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def keep(self, assembly: Assembly) -> KeptDataset:
        return await asyncio.to_thread(self._keep, assembly)

    async def open(self, dataset_id: str) -> KeptDataset:
        return await asyncio.to_thread(self._open, dataset_id)

    async def erase(self, dataset_id: str) -> None:
        await asyncio.to_thread(self._erase, dataset_id)

    def _keep(self, assembly: Assembly) -> KeptDataset:
        with staged(self._root) as unfinished:
            name = _write(unfinished, assembly)
            _publish(unfinished, self._root / name)
        return self._open(name)

    def _open(self, name: str) -> KeptDataset:
        folder = self._folder(name)
        manifest = json.loads((folder / MANIFEST).read_bytes())
        if dataset_id(manifest) != name:
            raise DatasetDamaged(f"{name}: its manifest was changed")
        gone = [one for one in manifest["files"] if not (folder / one).exists()]
        erased = {one for one in manifest["files"] if _is_rows(one)} <= set(gone)
        for file, facts in manifest["files"].items():
            if not (erased and file in gone) and _facts(folder / file) != FileFacts(**facts):
                raise DatasetDamaged(f"{name}: {file} is not what was written")
        written = datetime.fromtimestamp((folder / MANIFEST).stat().st_mtime, UTC)
        return KeptDataset(name, manifest, folder.absolute(), written, erased)

    def _erase(self, name: str) -> None:
        folder = self._folder(name)
        for path in sorted(folder.glob("*.parquet"), key=lambda one: one.name == LINEAGE):
            path.unlink()  # the lineage names users, too; it goes last
        fsync(folder)

    def _folder(self, name: str) -> Path:
        """Raises `DatasetUnknown`, also for what is no id: it must not name another folder."""
        folder = self._root / name
        if not _ID.fullmatch(name) or not (folder / MANIFEST).is_file():
            raise DatasetUnknown(name)
        return folder


def _write(folder: Path, assembly: Assembly) -> str:
    """The files, then the manifest that names them; the dataset's id."""
    columns = sorted({name for one in (assembly.features or {}).values() for name in one})
    for split, rows in assembly.splits.items():
        write_split(folder / f"{split}.parquet", assembly, rows, columns)
    write_lineage(folder / LINEAGE, [row for rows in assembly.splits.values() for row in rows])
    files = {path.name: _facts(path) for path in sorted(folder.iterdir())}
    manifest = manifest_of(assembly, files)
    (folder / MANIFEST).write_bytes(canonical(manifest))
    return dataset_id(manifest)


def _publish(unfinished: Path, folder: Path) -> None:
    """Where it is there already it is the same: its name is its content's hash."""
    for path in unfinished.iterdir():
        fsync(path)
    fsync(unfinished)
    if not (folder / MANIFEST).is_file():
        try:
            unfinished.rename(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # else another was faster
                raise
        else:
            fsync(folder.parent)
            return
    for path in unfinished.iterdir():
        if not (folder / path.name).exists():  # its rows were erased; their sources were not
            path.rename(folder / path.name)
    fsync(folder)


def _is_rows(file: str) -> bool:
    return file != LINEAGE


def _facts(path: Path) -> FileFacts:
    """Of a file that is not there an empty hash, which is nobody's."""
    if not path.is_file():
        return FileFacts("", 0)
    with path.open("rb") as file:
        return FileFacts(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)
