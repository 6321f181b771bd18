"""A trained sentence encoder on the model server: converted, compared with what it was, placed.

Twice: under its name for bulk work, and as `<name>-query` for those who wait.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gyre_models.manifest import ManifestError, check_manifest, content_hash
from gyre_models.materialise import STAGING, WEIGHTS, MaterialiseError, content_of, materialise

QUERIES = "-query"
LEAST_COSINE = 0.999
STALE_S = 6 * 3600.0
SETTINGS = Path("1", "engine.json")
TEXTS = (
    "What does it cost?",
    "Roaming in the European Union costs the same as at home.",
    "Grüße aus München: die Rechnung kommt am ersten Tag des Monats.",
    "You may cancel a contract within 14 days of its start; the fee is 9.99 EUR, and the line "
    "is closed at the end of the month in which the letter came.",
    "router light",
    "The committee found that claims of former service members are decided by the office of the "
    "region in which they live. " * 6,
)


def place_embedder(model_dir: Path, name: str, repository: Path) -> Path:
    """Returns the folder of the model. A repeat changes nothing, and ends what a kill broke off.

    Raises `MaterialiseError` for what no repetition would help: hashes that are wrong, an encoder
    that cannot be converted, vectors that are not those of the trained weights, a taken name.
    """
    content = _checked(model_dir)
    place = repository / name
    if place.exists():
        if content_of(place) != content:
            raise MaterialiseError(f"{name} stands for other content already: choose a new name")
    else:
        repository.mkdir(parents=True, exist_ok=True)
        _sweep(repository)
        with TemporaryDirectory(prefix=STAGING, dir=repository) as folder:
            exported = Path(folder) / "exported"
            precision = _convert(model_dir, exported)
            settings = {"precision": precision}
            materialise("openvino", exported, name, repository, settings, content)
    twin = {"goal": "latency", "threads": 1, "precision": _precision(place)}
    materialise("openvino", place / WEIGHTS, name + QUERIES, repository, twin, content)
    return place


def _checked(model_dir: Path) -> str:
    """The content hash of a folder that is what its manifest says."""
    if not model_dir.is_dir():
        raise MaterialiseError(f"no model directory at {model_dir}")
    try:
        if not check_manifest(model_dir):
            raise MaterialiseError(f"{model_dir} has no SHA256SUMS: `seal` it")
    except ManifestError as error:
        raise MaterialiseError(str(error)) from error
    _check_pooling(model_dir)
    return content_hash(model_dir)


def _check_pooling(model_dir: Path) -> None:
    """The exported network takes the mean over tokens."""
    file = model_dir / "1_Pooling" / "config.json"
    told = json.loads(file.read_text()) if file.is_file() else {"pooling_mode_mean_tokens": True}
    if not told.get("pooling_mode_mean_tokens"):
        raise MaterialiseError(f"{model_dir} does not pool by the mean over tokens")


def _convert(model_dir: Path, target: Path) -> str:
    """The precision in which it may be served: bfloat16 where that keeps every direction."""
    import torch

    from gyre_models.openvino_engine.export import export, load_encoder

    torch.set_num_threads(1)
    try:
        export(model_dir, target)
        reference = _reference(load_encoder(model_dir), target)
    except (OSError, MemoryError):
        raise  # of the machine, not of the model
    except Exception as error:
        raise MaterialiseError(f"it cannot be converted: {error}") from error
    for precision in ("auto", "float32"):
        least = float((_served(target, precision) * reference).sum(axis=1).min())
        if least >= LEAST_COSINE:
            return precision
    raise MaterialiseError(f"its vectors are not those of the weights: least cosine {least:.4f}")


def _reference(encoder: Any, exported: Path) -> NDArray[np.float32]:
    import torch

    from gyre_models.openvino_engine.encoder import padded, read_tokenizer
    from gyre_models.openvino_engine.export import FACTS

    limit = int(json.loads((exported / FACTS).read_text())["max_tokens"])
    tokenizer = read_tokenizer(exported / "tokenizer.json", limit)
    with torch.inference_mode():
        rows = [encoder(*map(torch.from_numpy, padded([tokenizer.encode(t)]))) for t in TEXTS]
    vectors: NDArray[np.float32] = torch.vstack(rows).numpy()
    return vectors


def _served(exported: Path, precision: str, texts: Sequence[str] = TEXTS) -> NDArray[np.float32]:
    from gyre_models.openvino_engine.encoder import Encoder
    from gyre_models.openvino_engine.settings import EngineSettings

    settings = EngineSettings.model_validate({"precision": precision, "threads": 1})
    return Encoder(exported, settings).embed(texts).vectors


def _precision(place: Path) -> str:
    return str(json.loads((place / SETTINGS).read_text())["precision"])


def _sweep(repository: Path) -> None:
    """What killed conversions left, but nothing that is being written."""
    for folder in repository.glob(f"{STAGING}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > STALE_S:
                shutil.rmtree(folder, ignore_errors=True)


def be_modest() -> None:
    """A conversion shares the machine with answers: it takes what nobody else wants, and is the
    first to go where memory gets short."""
    os.nice(5)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("700")
