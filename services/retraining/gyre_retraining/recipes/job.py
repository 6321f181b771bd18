"""A job's folder: what it was asked, what it tells, what it leaves. No torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gyre_retraining.recipes.ending import JobError
from gyre_retraining.recipes.schema import Recipe, parse


@dataclass(frozen=True)
class Result:
    """What a finished job reached. seconds: of all sittings, without the pauses between them."""

    steps: int
    metrics: Mapping[str, float]
    peak_memory_bytes: int
    seconds: float
    tracking_run_id: str = ""


@dataclass(frozen=True)
class Job:
    """One training as a folder; the same folder may be started again until it has a result."""

    folder: Path
    training_id: str
    recipe: Recipe
    dataset: Path
    base_model: Path
    output: Path
    tracking_uri: str
    name: str

    @property
    def progress(self) -> Path:
        """JSON lines, appended."""
        return self.folder / "progress.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def result(self) -> Path:
        """There once the job has succeeded."""
        return self.folder / "result.json"

    @property
    def error(self) -> Path:
        """There once the job has failed."""
        return self.folder / "error.json"


def write_job(job: Job) -> None:
    """Make the folder with its job.json; a repeat writes the same."""
    job.folder.mkdir(parents=True, exist_ok=True)
    asked = {
        "training_id": job.training_id,
        "recipe": job.recipe.model_dump(mode="json"),
        "dataset": str(job.dataset),
        "base_model": str(job.base_model),
        "output": str(job.output),
        "tracking_uri": job.tracking_uri,
        "name": job.name,
    }
    write_json(job.folder / "job.json", asked)


def read_job(folder: Path) -> Job:
    """The job of a folder. Raises `JobError` (`bad_job`) where job.json is not one."""
    try:
        asked = json.loads((folder / "job.json").read_text())
        return Job(
            folder=folder,
            training_id=str(asked["training_id"]),
            recipe=parse(asked["recipe"]),
            dataset=Path(asked["dataset"]),
            base_model=Path(asked["base_model"]),
            output=Path(asked["output"]),
            tracking_uri=asked.get("tracking_uri") or "",
            name=str(asked["name"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        told = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise JobError("bad_job", f"job.json: {told}") from error


def dataset_id(job: Job) -> str:
    """SHA-256 in hex of the dataset's manifest as canonical JSON.

    Raises `JobError` (`bad_dataset`).
    """
    try:
        manifest = json.loads((job.dataset / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        raise JobError("bad_dataset", f"manifest.json: {error}") from error
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def write_result(job: Job, result: Result) -> None:
    """Say that the job has succeeded; whole or not at all."""
    write_json(job.result, asdict(result))


def write_error(job_folder: Path, error: JobError) -> None:
    """Say why the job has failed; whole or not at all."""
    write_json(job_folder / "error.json", {"reason": error.reason, "detail": error.detail})


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write, fsync, rename: a reader sees the old file or the new one, never a part."""
    part = path.with_name(f"{path.name}.part")
    with part.open("w") as file:
        json.dump(content, file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
