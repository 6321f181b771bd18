"""What Triton calls: `1/model.py` of a materialised model imports this class."""

from __future__ import annotations

from pathlib import Path

from gyre_models.contract.model import LanguageModel
from gyre_models.torch_engine.engine import TorchEngine
from gyre_models.torch_engine.settings import EngineSettings


class TritonPythonModel(LanguageModel):
    """Engine `torch` over `weights/`, as `engine.json` says."""

    def open(self, folder: Path) -> TorchEngine:
        settings = EngineSettings.model_validate_json((folder / "engine.json").read_text())
        return TorchEngine.open(folder / "weights", settings)
