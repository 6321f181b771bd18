"""The files of a model directory, looked at without loading any of them."""

from __future__ import annotations

import json
from pathlib import Path

ADAPTERS = "adapters"
DRAFT = "draft"
KINDS = ("*.safetensors", "*.json", "*.jinja", "*.txt", "tokenizer.model")


class LayoutError(ValueError):
    """The directory does not hold a model that may be loaded."""


def check_files(directory: Path) -> None:
    """Weights as safetensors, a tokenizer.json, and no part of an index missing."""
    for name in ("config.json", "tokenizer.json"):
        if not (directory / name).is_file():
            raise LayoutError(f"{directory} has no {name}")
    shards = _shards(directory)
    if missing := [name for name in shards if not (directory / name).is_file()]:
        raise LayoutError(f"{directory} lacks weights: {', '.join(missing)} (safetensors only)")


def adapter_names(directory: Path) -> tuple[str, ...]:
    """Folders `adapters/<name>` of LoRA adapters; raises where one is not safetensors."""
    folders = sorted(path for path in (directory / ADAPTERS).glob("*") if path.is_dir())
    for folder in folders:
        if not (folder / "adapter_model.safetensors").is_file():
            raise LayoutError(f"adapter {folder.name} has no adapter_model.safetensors")
    return tuple(folder.name for folder in folders)


def model_files(directory: Path) -> list[Path]:
    """Safetensors, configuration and tokenizer of the model, its adapters and its draft model.

    Pickles and Python files are left behind. Raises `LayoutError`.
    """
    check_files(directory)
    adapter_names(directory)
    folders = [directory, *(directory / ADAPTERS).glob("*"), directory / DRAFT]
    return sorted(path for folder in folders for kind in KINDS for path in folder.glob(kind))


def model_file(engine: str) -> str:
    """The text of `1/model.py`."""
    return (
        '"""Written by `python -m gyre_models materialise`: the code stands in gyre_models."""\n\n'
        f"from gyre_models.{engine}_engine.model import TritonPythonModel\n\n"
        '__all__ = ["TritonPythonModel"]\n'
    )


def _shards(directory: Path) -> list[str]:
    index = directory / "model.safetensors.index.json"
    if not index.is_file():
        return ["model.safetensors"]
    return sorted(set(json.loads(index.read_text())["weight_map"].values()))
