"""Distillation: each token's distribution of a larger model with the same tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils.rnn import pad_sequence
from trl.experimental.gkd import GKDConfig, GKDTrainer

from gyre_retraining.recipes.ending import JobError
from gyre_retraining.recipes.language.models import load_teacher
from gyre_retraining.recipes.language.render import UNLEARNT, tokens

if TYPE_CHECKING:
    from gyre_retraining.recipes.language.parts import Parts


def teacher(parts: Parts) -> Any:
    """Rows: prompt, completion. Raises `JobError` (`bad_teacher`)."""
    section = parts.recipe.distillation
    if section is None:
        raise JobError("bad_job", "the recipe has no section distillation")
    length, held_back = parts.recipe.training.max_length, parts.validation
    args = GKDConfig(
        **parts.arguments,
        max_length=length,
        lmbda=section.own_share,
        beta=section.divergence,
        temperature=section.temperature,
    )
    larger = load_teacher(Path(section.teacher), parts.recipe.training.weights)
    given = parts.given(args) | {
        "train_dataset": tokens(parts.tokenizer, parts.train, length),
        "eval_dataset": held_back and tokens(parts.tokenizer, held_back, length),
    }
    try:
        collate = Collator(parts.tokenizer.pad_token_id)
        return GKDTrainer(**given, teacher_model=larger, data_collator=collate)
    except ValueError as error:  # another vocabulary
        raise JobError("bad_teacher", str(error)[:500]) from error


class Collator:
    """Rows of token ids to one batch; prompts apart and padded left, for own answers."""

    def __init__(self, pad: int) -> None:
        self._pad = pad

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """input_ids, attention_mask, labels, prompts, prompt_attention_mask."""
        whole = [torch.tensor(row["input_ids"]) for row in rows]
        prompts = [torch.tensor(row["prompt_ids"]) for row in rows]
        return {
            "input_ids": self._together(whole, self._pad),
            "attention_mask": self._together([torch.ones_like(ids) for ids in whole], 0),
            "labels": self._together([torch.tensor(row["labels"]) for row in rows], UNLEARNT),
            "prompts": self._together(prompts, self._pad, "left"),
            "prompt_attention_mask": self._together(
                [torch.ones_like(ids) for ids in prompts], 0, "left"
            ),
        }

    def _together(
        self, rows: list[torch.Tensor], padding: int, side: str = "right"
    ) -> torch.Tensor:
        return pad_sequence(rows, batch_first=True, padding_value=padding, padding_side=side)
