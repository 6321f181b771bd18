"""An immutable model folder in a run-time repository, made beside and moved into place."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from gyre_models.engines import ModelSource, engine
from gyre_models.manifest import ManifestError, check_manifest, content_hash, write_manifest

WEIGHTS = Path("1", "weights")
CONFIG = "config.pbtxt"
STAGING = ".staging-"
CONTENT = "gyre_content_sha256"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class MaterialiseError(ValueError):
    """The model cannot be put into the repository; the message says what to change."""


def materialise(
    engine_name: str,
    model_dir: Path,
    name: str,
    repository: Path,
    settings: Mapping[str, Any] | None = None,
    content: str = "",
) -> Path:
    """Returns the model's folder. A repeat with the same content changes nothing.

    A name that stands for other content already is refused: rollouts use new names.
    content: the hash that the server tells of the model; empty is that of the source's manifest.
    """
    source = _source(model_dir, name, settings or {})
    recipe = engine(engine_name)
    try:
        check_manifest(source.directory)
        files, weights = dict(recipe.files(source)), recipe.weights(source)
    except (ManifestError, ValueError) as error:
        raise MaterialiseError(str(error)) from error
    files[CONFIG] += _told(content or content_hash(source.directory))
    repository.mkdir(parents=True, exist_ok=True)
    staging = Path(mkdtemp(prefix=STAGING, dir=repository))
    try:
        _fill(staging, source, files, weights)
        return _publish(staging, repository / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def content_of(folder: Path) -> str:
    """The content hash that a model's folder tells; empty where it tells none."""
    config = folder / CONFIG
    text = config.read_text() if config.is_file() else ""
    found = re.search(rf'key: "{CONTENT}" value {{ string_value: "(\w+)" }}', text)
    return found[1] if found else ""


def _told(content: str) -> str:
    if not content:
        return ""
    return f'parameters {{ key: "{CONTENT}" value {{ string_value: "{content}" }} }}\n'


def _source(model_dir: Path, name: str, settings: Mapping[str, Any]) -> ModelSource:
    if not NAME.fullmatch(name):
        raise MaterialiseError(f"model name {name!r}: use lower case letters, digits, . _ -")
    if not model_dir.is_dir():
        raise MaterialiseError(f"no model directory at {model_dir}")
    return ModelSource(name, model_dir.absolute(), settings)


def _fill(folder: Path, source: ModelSource, files: dict[str, str], weights: list[Path]) -> None:
    folder.chmod(0o755)
    for relative, text in files.items():
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    for path in weights:
        target = folder / WEIGHTS / path.relative_to(source.directory)
        target.parent.mkdir(parents=True, exist_ok=True)
        _link(path, target)
    if weights:
        write_manifest(folder / WEIGHTS, known=source.directory)


def _link(source: Path, target: Path) -> None:
    """A hard link keeps one copy on disk; another file system needs a copy."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy2(source, target)


def _publish(staging: Path, target: Path) -> Path:
    if not target.exists():
        staging.rename(target)
    elif _content(staging) != _content(target):
        raise MaterialiseError(
            f"{target} has other content already: choose a new name, or remove that folder first"
        )
    return target


def _content(folder: Path) -> dict[str, bytes | tuple[int, int]]:
    """Small files by content, large ones by size and time (links keep both)."""
    return {
        str(path.relative_to(folder)): _signature(path)
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def _signature(path: Path) -> bytes | tuple[int, int]:
    facts = path.stat()
    large = facts.st_size > 1 << 20
    return (facts.st_size, int(facts.st_mtime)) if large else path.read_bytes()
