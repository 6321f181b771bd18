"""Texts to vectors: tokenised together, computed in batches of like length."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from gyre_models.manifest import check_manifest
from gyre_models.openvino_engine.settings import EngineSettings


@dataclass(frozen=True)
class Embedded:
    """One row per text: vectors (n, dimension) float32; token counts (n); truncated (n)."""

    vectors: NDArray[np.float32]
    token_counts: NDArray[np.int32]
    truncated: NDArray[np.bool_]


class Encoder:
    """An exported network, compiled for this processor."""

    def __init__(self, directory: Path, settings: EngineSettings) -> None:
        check_manifest(directory)
        facts = json.loads((directory / "embedding.json").read_text())
        self._dimension = int(facts["dimension"])
        self._sub_batch = settings.sub_batch
        self._tokenizer = read_tokenizer(directory / "tokenizer.json", int(facts["max_tokens"]))
        core = openvino.Core()
        options = compile_options(settings, core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
        compiled = core.compile_model(directory / "model.xml", "CPU", options)
        self._queue = openvino.AsyncInferQueue(compiled)
        self._queue.set_callback(_keep)

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Rows in the order of `texts`. The longest begin, so that the streams end together."""
        encodings = self._tokenizer.encode_batch(list(texts))
        order = sorted(range(len(texts)), key=lambda place: -len(encodings[place].ids))
        vectors = np.empty((len(texts), self._dimension), dtype=np.float32)
        for start in range(0, len(order), self._sub_batch):
            rows = order[start : start + self._sub_batch]
            self._queue.start_async(padded([encodings[row] for row in rows]), (vectors, rows))
        self._queue.wait_all()
        return Embedded(
            vectors=vectors,
            token_counts=np.array([len(encoding.ids) for encoding in encodings], dtype=np.int32),
            truncated=np.array([bool(encoding.overflowing) for encoding in encodings]),
        )


def compile_options(settings: EngineSettings, capabilities: Collection[str]) -> dict[str, Any]:
    """OpenVINO's properties. bfloat16 on a processor without it is emulated, 50 times slower.

    capabilities: what OpenVINO says that this processor computes in.
    """
    wanted = {"auto": "BF16" in capabilities, "bfloat16": True, "float32": False}[
        settings.precision
    ]
    return {
        "INFERENCE_PRECISION_HINT": "bf16" if wanted else "f32",
        "PERFORMANCE_HINT": settings.goal.upper(),
        "INFERENCE_NUM_THREADS": settings.threads,
    }


def read_tokenizer(path: Path, limit: int) -> Tokenizer:
    """The model's own tokenizer, cutting at `limit` tokens and never padding."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(limit)
    return tokenizer


def padded(encodings: Sequence[Encoding]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and mask, (texts, longest) each; padding is masked, so its id does not matter."""
    longest = max(len(encoding.ids) for encoding in encodings)
    ids = np.zeros((len(encodings), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, encoding in enumerate(encodings):
        ids[row, : len(encoding.ids)] = encoding.ids
        mask[row, : len(encoding.ids)] = 1
    return ids, mask


def _keep(request: Any, place: tuple[NDArray[np.float32], list[int]]) -> None:
    vectors, rows = place
    vectors[rows] = request.get_output_tensor(0).data
