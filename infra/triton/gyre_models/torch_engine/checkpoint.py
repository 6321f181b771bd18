"""A model directory becomes a model: safetensors only, hashes checked, no code from the files."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gyre_models.contract.checkpoint import end_ids, own_limit
from gyre_models.contract.layout import ADAPTERS, adapter_names, check_files
from gyre_models.manifest import check_manifest
from gyre_models.torch_engine.settings import EngineSettings


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model. end_ids: tokens that end an answer. max_length: in tokens."""

    model: Any
    tokenizer: Any
    device: torch.device
    end_ids: frozenset[int]
    vocabulary: int
    max_length: int
    adapters: tuple[str, ...]
    keeps_logits: bool


def load(directory: Path, settings: EngineSettings) -> Checkpoint:
    """Raises `LayoutError` or `ManifestError` before any weight is read."""
    check_files(directory)
    check_manifest(directory)
    device = _device(settings.device)
    model = AutoModelForCausalLM.from_pretrained(
        directory,
        dtype=_dtype(settings.dtype, device),
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(
        directory, local_files_only=True, trust_remote_code=False
    )
    names = adapter_names(directory)
    text_config = model.config.get_text_config()
    return Checkpoint(
        model=_with_adapters(model, directory, names).to(device).eval(),
        tokenizer=tokenizer,
        device=device,
        end_ids=end_ids((model.generation_config, model.config, tokenizer)),
        vocabulary=text_config.vocab_size,
        max_length=min(settings.max_length, own_limit(text_config)),
        adapters=names,
        keeps_logits="logits_to_keep" in inspect.signature(model.forward).parameters,
    )


def _with_adapters(model: Any, directory: Path, names: tuple[str, ...]) -> Any:
    if not names:
        return model
    from peft import PeftModel

    first, *others = names
    folder = directory / ADAPTERS
    adapted = PeftModel.from_pretrained(model, folder / first, adapter_name=first)
    for name in others:
        adapted.load_adapter(folder / name, adapter_name=name)
    return adapted


def _device(setting: str) -> torch.device:
    if setting == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(setting)


def _dtype(setting: str, device: torch.device) -> torch.dtype:
    if setting == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    dtype: torch.dtype = getattr(torch, setting)
    return dtype
