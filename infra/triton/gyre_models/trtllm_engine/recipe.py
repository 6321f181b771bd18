"""What belongs into a model's folder for the `trtllm` engine."""

from __future__ import annotations

from pathlib import Path

import yaml

from gyre_models.contract.layout import model_file, model_files
from gyre_models.contract.tensors import config_pbtxt
from gyre_models.engines import ModelSource
from gyre_models.trtllm_engine.settings import checked


def files(source: ModelSource) -> dict[str, str]:
    settings = checked(dict(source.settings))
    return {
        # The engine finds its GPUs itself; Triton would place one instance on each of them.
        "config.pbtxt": config_pbtxt(source.name, "KIND_MODEL"),
        "1/model.py": model_file("trtllm"),
        "1/engine.yaml": yaml.safe_dump(settings.model_dump(exclude_none=True), sort_keys=False),
    }


def weights(source: ModelSource) -> list[Path]:
    return model_files(source.directory)
