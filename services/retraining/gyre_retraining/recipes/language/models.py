"""A language model from its folder, and back into one: safetensors only, no code from the files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from peft import LoraConfig
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from gyre_retraining.recipes.ending import JobError

if TYPE_CHECKING:
    from pathlib import Path

    from gyre_retraining.recipes.schema import Adapter, Recipe


def load(folder: Path, recipe: Recipe) -> tuple[Any, Any]:
    """The model and its tokenizer. Raises `JobError` (`bad_base_model`)."""
    kind = AutoModelForSequenceClassification if recipe.kind == "reward" else AutoModelForCausalLM
    head = {"num_labels": 1} if recipe.kind == "reward" else {}
    try:
        return _read(kind, folder, recipe.training.weights, **head), tokenizer_of(folder)
    except (OSError, ValueError) as error:
        raise JobError("bad_base_model", str(error)[:500]) from error


def load_teacher(folder: Path, weights: str) -> Any:
    """The larger model that a small one learns from. Raises `JobError` (`bad_teacher`)."""
    try:
        return _read(AutoModelForCausalLM, folder, weights).eval()
    except (OSError, ValueError) as error:
        raise JobError("bad_teacher", str(error)[:500]) from error


def tokenizer_of(folder: Path) -> Any:
    """With something to pad with."""
    tokenizer = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def lora(adapter: Adapter) -> LoraConfig | None:
    """None: all weights are trained."""
    if adapter.kind == "none":
        return None
    every = adapter.targets == ("all-linear",)
    return LoraConfig(
        r=adapter.r,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules="all-linear" if every else list(adapter.targets),
        task_type="CAUSAL_LM",
    )


def save(trainer: Any, tokenizer: Any, recipe: Recipe, output: Path) -> None:
    """The folder that is served: an adapter's own files, or a whole model with its tokenizer."""
    state = trainer.accelerator.get_state_dict(trainer.model)
    model = trainer.accelerator.unwrap_model(trainer.model)
    if not trainer.is_world_process_zero():
        return
    if recipe.adapter.kind == "lora" and not recipe.export.merge:
        model.save_pretrained(output, state_dict=state)
        _name_base(output, recipe.base_model)
    else:
        whole, weights = (model.merge_and_unload(), None) if recipe.export.merge else (model, state)
        whole.save_pretrained(output, state_dict=weights)
        tokenizer.save_pretrained(output)
    (output / "README.md").unlink(missing_ok=True)  # the registry writes the card


def _read(kind: Any, folder: Path, weights: str, **head: Any) -> Any:
    return kind.from_pretrained(
        folder,
        dtype=getattr(torch, weights),
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        **head,
    )


def _name_base(output: Path, name: str) -> None:
    """peft writes the folder that the base model was read from, which means nothing elsewhere."""
    path = output / "adapter_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"base_model_name_or_path": name}, indent=2) + "\n")
