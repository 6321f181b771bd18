"""What Triton calls: `1/model.py` of a materialised embedding model imports this class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from gyre_models.openvino_engine.encoder import Embedded, Encoder
from gyre_models.openvino_engine.settings import EngineSettings


class TritonPythonModel:
    """Triton's dynamic batcher gathers requests; their texts are computed together."""

    def initialize(self, args: dict[str, str]) -> None:
        folder = Path(args["model_repository"], args["model_version"])
        settings = EngineSettings.model_validate_json((folder / "engine.json").read_text())
        self._encoder = Encoder(folder / "weights", settings)
        self._encoder.embed(["A first text takes the time that every later one saves."])

    def execute(self, requests: list[Any]) -> list[Any]:
        asked = [_texts(request) for request in requests]
        made = self._encoder.embed([text for texts in asked for text in texts])
        replies, start = [], 0
        for texts in asked:
            replies.append(_reply(made, slice(start, start + len(texts))))
            start += len(texts)
        return replies


def _texts(request: Any) -> list[str]:
    tensor = pb_utils.get_input_tensor_by_name(request, "text").as_numpy()
    return [text.decode("utf-8", errors="replace") for text in tensor.ravel()]


def _reply(made: Embedded, rows: slice) -> Any:
    counts, truncated = made.token_counts[rows], made.truncated[rows]
    return pb_utils.InferenceResponse(
        [
            pb_utils.Tensor("embedding", np.ascontiguousarray(made.vectors[rows])),
            pb_utils.Tensor("token_count", counts.reshape(-1, 1)),
            pb_utils.Tensor("truncated", truncated.reshape(-1, 1)),
        ]
    )
