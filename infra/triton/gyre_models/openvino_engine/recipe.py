"""What belongs into a model's folder for the `openvino` engine."""

from __future__ import annotations

import json
from pathlib import Path

from gyre_models.engines import ModelSource
from gyre_models.openvino_engine.settings import EngineSettings

MODEL = '''"""Written by `python -m gyre_models materialise`: the code stands in gyre_models."""

from gyre_models.openvino_engine.model import TritonPythonModel

__all__ = ["TritonPythonModel"]
'''
FILES = ("model.xml", "model.bin", "tokenizer.json", "embedding.json")
CONFIG = """name: "{name}"
backend: "python"
max_batch_size: {max_batch}
input [{{ name: "text" data_type: TYPE_STRING dims: [1] }}]
output [
  {{ name: "embedding" data_type: TYPE_FP32 dims: [{dimension}] }},
  {{ name: "token_count" data_type: TYPE_INT32 dims: [1] }},
  {{ name: "truncated" data_type: TYPE_BOOL dims: [1] }}
]
dynamic_batching {{ }}
instance_group [{{ kind: KIND_CPU count: 1 }}]
"""


def files(source: ModelSource) -> dict[str, str]:
    settings = EngineSettings(**source.settings)
    facts = json.loads((source.directory / "embedding.json").read_text())
    return {
        "config.pbtxt": CONFIG.format(
            name=source.name, max_batch=settings.max_batch, dimension=facts["dimension"]
        ),
        "1/model.py": MODEL,
        "1/engine.json": settings.model_dump_json(indent=2) + "\n",
    }


def weights(source: ModelSource) -> list[Path]:
    """The network, its tokenizer and its facts."""
    found = [source.directory / name for name in FILES]
    if missing := [path.name for path in found if not path.is_file()]:
        raise ValueError(
            f"{source.directory} lacks {', '.join(missing)}: "
            "make it with `python -m gyre_models export-embedding`"
        )
    return found
