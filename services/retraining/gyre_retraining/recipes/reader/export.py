"""A trained model as a Hugging Face folder: what the model server reads."""

import copy
import hashlib
import json
from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from gyre_retraining.recipes.reader.config import Recipe
from gyre_retraining.recipes.reader.training import Tally

_MANIFEST = "SHA256SUMS"
_RUN = "training_run.json"


def export(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    recipe: Recipe,
    tally: Tally,
) -> None:
    """Write config, bf16 safetensors, tokenizer, chat template, the run and the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    served = copy.deepcopy(model).to(torch.bfloat16)
    served.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=128,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    served.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    run = {"recipe": recipe.model_dump(mode="json"), "tally": vars(tally)}
    (folder / _RUN).write_text(json.dumps(run, indent=1) + "\n")
    write_manifest(folder)


def read_tally(folder: Path) -> Tally:
    """How far the exported run was."""
    return Tally(**json.loads((folder / _RUN).read_text())["tally"])


def write_manifest(folder: Path) -> None:
    """`SHA256SUMS` over every file that a server reads (the card may be edited)."""
    files = sorted(p for p in folder.iterdir() if p.name not in {_MANIFEST, "README.md"})
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / _MANIFEST).write_text("".join(lines))
