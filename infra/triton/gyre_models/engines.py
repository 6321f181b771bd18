"""The engines by name, each a module that says what belongs into a model's folder."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast


@dataclass(frozen=True)
class ModelSource:
    """What a model is made from: its name on the server, its files, the engine's settings."""

    name: str
    directory: Path
    settings: Mapping[str, Any]


class Engine(Protocol):
    """A recipe module. All functions raise `ValueError` with what to do.

    files: path inside the model's folder -> text (config.pbtxt, 1/model.py, 1/engine.json, ...).
    weights: files of the source that are linked into `1/weights/` under their own names.
    """

    def files(self, source: ModelSource) -> dict[str, str]: ...

    def weights(self, source: ModelSource) -> list[Path]: ...


# Modules are imported when asked for: one engine must not need another one's libraries.
ENGINES: dict[str, str] = {
    "openvino": "gyre_models.openvino_engine.recipe",
    "torch": "gyre_models.torch_engine.recipe",
    "trtllm": "gyre_models.trtllm_engine.recipe",
}


def engine(name: str) -> Engine:
    return cast(Engine, importlib.import_module(ENGINES[name]))
