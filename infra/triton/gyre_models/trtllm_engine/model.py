"""What Triton calls: `1/model.py` of a materialised model imports this class."""

from __future__ import annotations

from pathlib import Path

from gyre_models.contract.model import LanguageModel
from gyre_models.trtllm_engine.engine import TrtllmEngine
from gyre_models.trtllm_engine.settings import read_settings


class TritonPythonModel(LanguageModel):
    """Engine `trtllm` over `weights/`, as `engine.yaml` says."""

    def open(self, folder: Path) -> TrtllmEngine:
        return TrtllmEngine.open(folder / "weights", read_settings(folder / "engine.yaml"))
