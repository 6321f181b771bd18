"""A Hugging Face sentence encoder (safetensors) becomes one OpenVINO network: ids to vectors.

Mean pooling over the tokens and unit length are part of the network, as in sentence-transformers.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import normalize

from gyre_models.manifest import check_manifest, write_manifest

NETWORK = "model.xml"
FACTS = "embedding.json"


class SentenceEncoder(torch.nn.Module):
    """Encoder, mean over the tokens that are not padding, unit length."""

    def __init__(self, encoder: torch.nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """(texts, tokens) twice -> (texts, dimension)."""
        reply = self.encoder(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=torch.zeros_like(input_ids),
        )
        mask = attention_mask.unsqueeze(-1).to(reply.last_hidden_state.dtype)
        return normalize((reply.last_hidden_state * mask).sum(1) / mask.sum(1), dim=-1)


def load_encoder(directory: Path) -> SentenceEncoder:
    """The reference in float32, from safetensors alone."""
    from transformers import AutoModel

    check_manifest(directory)
    encoder = AutoModel.from_pretrained(
        directory,
        attn_implementation="eager",
        use_safetensors=True,
        local_files_only=True,
        dtype=torch.float32,
    )
    reference = SentenceEncoder(encoder)
    reference.eval()
    return reference


def export(source: Path, target: Path, *, calibration: Path | None = None) -> Path:
    """Writes the network and the tokenizer to `target` and returns it.

    calibration: a text file, one passage a line; when given, the network is quantised to int8
        with it (NNCF), which is faster and less exact.
    """
    import openvino

    encoder = load_encoder(source)
    example = torch.ones((2, 8), dtype=torch.int64)
    network = openvino.convert_model(encoder, example_input=(example, example))
    limit = max_tokens(source)
    if calibration is not None:
        network = _quantised(network, source / "tokenizer.json", limit, calibration)
    target.mkdir(parents=True, exist_ok=True)
    openvino.save_model(network, target / NETWORK, compress_to_fp16=False)
    shutil.copy2(source / "tokenizer.json", target)
    facts = {"max_tokens": limit, "dimension": int(encoder.encoder.config.hidden_size)}
    (target / FACTS).write_text(json.dumps(facts, indent=2) + "\n")
    write_manifest(target)
    return target


def max_tokens(directory: Path) -> int:
    """Tokens that the model was trained to read; sentence-transformers keeps it apart."""
    own = directory / "sentence_bert_config.json"
    if own.is_file():
        return int(json.loads(own.read_text())["max_seq_length"])
    return int(json.loads((directory / "config.json").read_text())["max_position_embeddings"])


def _quantised(network: Any, tokenizer: Path, limit: int, calibration: Path) -> Any:
    import nncf

    passages = calibration.read_text(encoding="utf-8").splitlines()
    inputs = list(_inputs(tokenizer, limit, filter(None, passages)))
    return nncf.quantize(
        network,
        nncf.Dataset(inputs),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(inputs),
    )


def _inputs(tokenizer: Path, limit: int, passages: Iterable[str]) -> Iterator[Any]:
    from gyre_models.openvino_engine.encoder import padded, read_tokenizer

    reader = read_tokenizer(tokenizer, limit)
    for passage in passages:
        yield padded([reader.encode(passage)])
