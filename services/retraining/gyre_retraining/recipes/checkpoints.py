"""Checkpoints of a job: a folder counts once its mark is written, so a half one is never used."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from gyre_retraining.recipes.job import write_json

MARK = "kept.json"


@dataclass(frozen=True)
class Kept:
    """A whole checkpoint. seconds: trained until then; peak_memory_bytes: highest until then."""

    path: Path
    step: int
    seconds: float
    peak_memory_bytes: int


class Checkpoints:
    """Folders `checkpoint-<step>` below one folder; whoever writes them calls `keep` afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def last(self) -> Kept | None:
        """The whole one with most steps; None: the job begins."""
        kept = [self._read(path) for path in self.folder.glob(f"checkpoint-*/{MARK}")]
        return max(kept, key=lambda one: one.step, default=None)

    def keep(self, step: int, seconds: float, peak_memory_bytes: int) -> None:
        """Marks the folder of this step as whole; nothing where it was not written."""
        path = self.folder / f"checkpoint-{step}"
        if path.is_dir():
            mark = {"step": step, "seconds": seconds, "peak_memory_bytes": peak_memory_bytes}
            write_json(path / MARK, mark)

    def sweep(self) -> None:
        """Removes those that a killed process left half."""
        for path in self.folder.glob("checkpoint-*"):
            if not (path / MARK).exists():
                shutil.rmtree(path)

    def _read(self, mark: Path) -> Kept:
        return Kept(mark.parent, **json.loads(mark.read_text()))
