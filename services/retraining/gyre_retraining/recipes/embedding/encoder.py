"""The model that is trained, and the folder that is left of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer

from gyre_retraining.recipes.ending import JobError
from gyre_retraining.recipes.schema import Precision

WEIGHTS = "model.safetensors"
# The card and the sums are of the old weights; the registry makes new ones.
LEFT_BEHIND = frozenset({WEIGHTS, "README.md", "SHA256SUMS", ".gitattributes"})
# Written by older versions of transformers, made anew by later ones.
CONSTANTS = frozenset({"embeddings.position_ids"})


def load(folder: Path, max_length: int, precision: Precision = "float32") -> SentenceTransformer:
    """The encoder, from safetensors alone, reading at most `max_length` tokens.

    precision: what its weights are kept in while they are trained.

    Raises `JobError` (`bad_base_model`).
    """
    if not (folder / WEIGHTS).is_file():
        raise JobError("bad_base_model", f"{folder.name} has no {WEIGHTS}")
    try:
        model = SentenceTransformer(
            str(folder),
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True, "dtype": getattr(torch, precision)},
        )
    except (OSError, ValueError, KeyError) as error:
        raise JobError("bad_base_model", f"{folder.name}: {error}") from error
    model.max_seq_length = min(max_length, model.max_seq_length or max_length)
    return model


def write(model: SentenceTransformer, base: Path, target: Path) -> None:
    """The base model's folder with the new weights under the old names, on disk before it returns.

    Everything else, the tokenizer and the length that it is served with, stays byte for byte: what
    sentence-transformers 6 itself saves leaves out the length that the exporter reads.
    """
    _copy(base, target)
    save_file(_named_as(base, model), target / WEIGHTS, metadata={"format": "pt"})
    _to_disk(target)


def _named_as(base: Path, model: SentenceTransformer) -> dict[str, torch.Tensor]:
    trained = model[0].auto_model.state_dict()
    kept = load_file(base / WEIGHTS)
    if strange := kept.keys() - trained.keys() - CONSTANTS:
        names = ", ".join(sorted(strange)[:3])
        raise JobError("bad_base_model", f"{base.name} has weights that are not trained: {names}")
    return {
        name: trained.get(name, old).detach().to("cpu", old.dtype).contiguous()
        for name, old in kept.items()
    }


def _copy(base: Path, target: Path) -> None:
    for path in base.rglob("*"):
        relative = path.relative_to(base)
        plain = path.suffix in {".json", ".txt", ".model"}
        if path.is_file() and plain and relative.name not in LEFT_BEHIND:
            (target / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / relative)


def _to_disk(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
