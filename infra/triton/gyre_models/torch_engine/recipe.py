"""What belongs into a model's folder for the `torch` engine."""

from __future__ import annotations

from pathlib import Path

from gyre_models.contract.layout import model_file, model_files
from gyre_models.contract.tensors import config_pbtxt
from gyre_models.engines import ModelSource
from gyre_models.torch_engine.settings import EngineSettings


def files(source: ModelSource) -> dict[str, str]:
    settings = EngineSettings(**source.settings)
    kind = "KIND_GPU" if settings.device == "cuda" else "KIND_CPU"
    return {
        "config.pbtxt": config_pbtxt(source.name, kind),
        "1/model.py": model_file("torch"),
        "1/engine.json": settings.model_dump_json(indent=2) + "\n",
    }


def weights(source: ModelSource) -> list[Path]:
    return model_files(source.directory)
