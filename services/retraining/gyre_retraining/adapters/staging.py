"""Folders that are written aside, to be renamed into place: whole there, or not at all."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

UNFINISHED = ".unfinished-"
ABANDONED = 86_400.0
"""Seconds for which nobody writes on one."""


@contextmanager
def staged(place: Path) -> Iterator[Path]:
    """A new folder in `place`, which is gone at the end unless it was renamed. Others that killed
    processes left there go too, but none on which another process may still write."""
    place.mkdir(parents=True, exist_ok=True)
    _sweep(place)
    folder = Path(mkdtemp(prefix=UNFINISHED, dir=place))
    folder.chmod(0o755)  # others read what it becomes
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fsync(path: Path) -> None:
    """A file, or a folder's list of names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(place: Path) -> None:
    for path in place.glob(f"{UNFINISHED}*"):
        with suppress(OSError):  # published a moment ago
            if time.time() - path.stat().st_mtime > ABANDONED:
                shutil.rmtree(path, ignore_errors=True)
