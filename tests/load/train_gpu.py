"""The recipes' own code on a GPU: a random model of 1B shape, supervised, all weights and LoRA.

`python tests/load/train_gpu.py [--size tiny] [--arm full lora] [--length 1024] [--batch 8]`

Needs torch, transformers, accelerate, peft, datasets and trl, and nothing of this project's
environments. Prints one line of JSON an arm: tokens a second after the warm-up, and the highest
memory of the GPU. `--size tiny` shows on any machine that the program runs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).parents[2]
TOKENIZER = ROOT / "infra" / "triton" / "checkpoints" / "gyre-reader"
WARM_UP = 5
SHAPES: dict[str, dict[str, int]] = {
    "1b": {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    },
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 12288,
    },
}
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def main() -> None:
    """One arm after the other, in this process."""
    asked = _arguments()
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    sys.path.insert(0, str(ROOT / "services" / "retraining"))
    for arm in asked.arm:
        print(json.dumps(measured(arm, asked)), flush=True)


def measured(arm: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Speed and memory of one arm."""
    import torch
    from gyre_retraining.recipes.language.models import tokenizer_of
    from gyre_retraining.recipes.language.train import prepared
    from transformers.trainer_utils import SaveStrategy

    graphics = torch.cuda.is_available()
    if graphics:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    recipe = _recipe(arm, asked)
    model, rows = _model(asked.size, asked.length), _rows(asked)
    with tempfile.TemporaryDirectory() as folder:
        trainer = prepared(recipe, model, tokenizer_of(TOKENIZER), rows, None, Path(folder))
        trainer.args.save_strategy = SaveStrategy.NO
        clock = _clock(graphics)
        trainer.add_callback(clock)
        trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    seconds = clock.times[-1] - clock.times[WARM_UP]
    tokens = (len(clock.times) - 1 - WARM_UP) * asked.batch * asked.length
    return {
        "arm": arm,
        "parameters": sum(one.numel() for one in trainer.model.parameters()),
        "trained": sum(one.numel() for one in trainer.model.parameters() if one.requires_grad),
        "tokens_per_second": round(tokens / seconds),
        "peak_gpu_memory_mb": torch.cuda.max_memory_allocated() >> 20 if graphics else None,
        "loss_first_last": [round(losses[0], 4), round(losses[-1], 4)],
        "steps": asked.steps,
        "batch": asked.batch,
        "length": asked.length,
        "gradient_checkpointing": asked.checkpointing,
        "device": torch.cuda.get_device_name() if graphics else platform.machine(),
        "torch": torch.__version__,
    }


def _recipe(arm: str, asked: argparse.Namespace) -> Any:
    """The values of a recipe as its schema names them; pydantic may be absent there."""
    return SimpleNamespace(
        kind="language",
        method="sft",
        form="demonstrations",
        base_model="random",
        adapter=SimpleNamespace(
            kind="lora" if arm == "lora" else "none", r=16, alpha=32, dropout=0.0, targets=LINEAR
        ),
        training=SimpleNamespace(
            epochs=1.0,
            max_steps=asked.steps,
            batch_size=asked.batch,
            gradient_accumulation=1,
            learning_rate=2e-4 if arm == "lora" else 1e-5,
            warmup_ratio=0.0,
            scheduler="constant",
            weight_decay=0.0,
            max_length=asked.length,
            answer_tokens=0,
            seed=0,
            evaluate_every=0,
            checkpoint_every=10**6,
            precision="bfloat16",
            weights="bfloat16",
            gradient_checkpointing=asked.checkpointing,
        ),
        limits=SimpleNamespace(threads=0),
        accelerate=SimpleNamespace(processes=1, fsdp=False),
    )


def _model(size: str, length: int) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        **SHAPES[size],
        max_position_embeddings=max(length, 2048),
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        return LlamaForCausalLM(config).to(torch.bfloat16)


def _rows(asked: argparse.Namespace) -> Any:
    """Every row is longer than `length` tokens and cut there, so that none is padded."""
    from datasets import Dataset

    chance = random.Random(0)
    words = [f"{start}{end}" for start in "abcdefghij" for end in ("an", "or", "um", "is", "et")]
    answer = [" ".join(chance.choices(words, k=asked.length * 2)) for _ in range(asked.batch * 8)]
    return Dataset.from_dict(
        {
            "messages": [[{"role": "user", "content": "Question: why?"}] for _ in answer],
            "completion": answer,
        }
    )


def _clock(graphics: bool) -> Any:
    import torch
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        """When each step was over."""

        def __init__(self) -> None:
            self.times: list[float] = []

        def on_step_end(self, *_: Any, **__: Any) -> None:
            if graphics:
                torch.cuda.synchronize()
            self.times.append(time.perf_counter())

    return Clock()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=sorted(SHAPES), default="1b")
    parser.add_argument("--arm", nargs="+", choices=("full", "lora"), default=["full", "lora"])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--checkpointing", action="store_true", help="less memory, more time")
    return parser.parse_args()


if __name__ == "__main__":
    main()
