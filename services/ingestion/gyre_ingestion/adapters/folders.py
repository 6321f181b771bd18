"""Fetches documents from a folder below one of the roots that the settings allow."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from gyre_ingestion.ports import Found, ImportRefusedError


class FolderImporter:
    """Files in order of their paths, hidden ones left out; a link that leaves the root is an error
    of that file."""

    def __init__(self, roots: Sequence[Path], max_bytes: int) -> None:
        self._roots = tuple(root.resolve() for root in roots)
        self._max_bytes = max_bytes

    async def fetch(self, place: Sequence[str]) -> AsyncIterator[Found]:
        """`place` is one folder. Raises `ImportRefusedError`."""
        folder, root = await asyncio.to_thread(self._allowed, *place)
        for path in await asyncio.to_thread(lambda: sorted(_files(folder))):
            yield await asyncio.to_thread(self._read, path, root)

    def _allowed(self, place: str) -> tuple[Path, Path]:
        if not self._roots:
            raise ImportRefusedError("no folder is allowed: set GYRE_IMPORT_ROOTS on the service")
        if "\0" not in place:
            folder = Path(place).resolve()
            root = next((one for one in self._roots if folder.is_relative_to(one)), None)
            if root and folder.is_dir():
                return folder, root
        roots = ", ".join(map(str, self._roots))
        raise ImportRefusedError(f"name a folder below one of the allowed roots: {roots}")

    def _read(self, path: Path, root: Path) -> Found:
        name = os.fsencode(path).decode(errors="backslashreplace")
        try:
            real = path.resolve(strict=True)
            if not (real.is_relative_to(root) and real.is_file()):
                return Found(name, error="it is not a file below the allowed root")
            with real.open("rb") as file:
                content = file.read(self._max_bytes + 1)
        except OSError as error:
            return Found(name, error=f"it cannot be read: {error.strerror}")
        if len(content) > self._max_bytes:
            return Found(name, error=f"is larger than the {self._max_bytes} bytes allowed")
        return Found(name, content)


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in files if not name.startswith("."))
