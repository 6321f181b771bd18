"""What a job tells while it runs: a line of JSON a step, and a bar where a person looks on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressLog:
    """Appends to progress.jsonl. A run that goes on repeats the steps after its checkpoint."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _mend(path)
        self._file = path.open("a")

    def tell(self, step: int, steps: int, loss: float | None, metrics: Mapping[str, float]) -> None:
        """One line, at once visible to readers; loss: absent where only metrics are new."""
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "step": step,
            "steps": steps,
            "loss": loss,
            "metrics": dict(metrics),
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        """No line afterwards."""
        self._file.close()


class Bar:
    """A live bar on the terminal of standard error; nothing where there is no terminal."""

    def __init__(self, title: str) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        self._bar = Progress(
            *columns,
            TextColumn("{task.completed}/{task.total} {task.fields[told]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=None, told="")
        self._bar.start()

    def show(self, step: int, steps: int, loss: float | None) -> None:
        """How far, and the last loss."""
        self._bar.update(self._task, completed=step, total=steps)
        if loss is not None:
            self._bar.update(self._task, told=f"loss {loss:.4f}")

    def close(self) -> None:
        """Leaves the bar as it is."""
        self._bar.stop()


def _mend(path: Path) -> None:
    """Cuts the half line that a killed process left."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
