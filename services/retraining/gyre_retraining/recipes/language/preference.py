"""Preferences: thumbs (`kto`), pairs (`dpo`), and a judge learnt from pairs (`reward`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trl import (
    DPOConfig,
    DPOTrainer,
    KTOConfig,
    KTOTrainer,
    RewardConfig,
    RewardTrainer,
)

if TYPE_CHECKING:
    from gyre_retraining.recipes.language.parts import Parts


def thumbs(parts: Parts) -> Any:
    """Rows: prompt, completion, label (true: thumb up)."""
    section, training = parts.recipe.preference, parts.recipe.training
    own = section.model_dump() if section else {}
    args = KTOConfig(**parts.arguments, max_length=training.max_length, **own)
    # Rows are taken in their order, for each is compared with its neighbour: it must be no order.
    mixed = parts.train.shuffle(seed=training.seed)
    return KTOTrainer(**parts.given(args) | {"train_dataset": mixed})


def pairs(parts: Parts) -> Any:
    """Rows: prompt, chosen, rejected."""
    section = parts.recipe.preference
    own = {"beta": section.beta} if section else {}
    length = parts.recipe.training.max_length
    return DPOTrainer(**parts.given(DPOConfig(**parts.arguments, max_length=length, **own)))


def judge(parts: Parts) -> Any:
    """Rows: prompt, chosen, rejected; those longer than `max_length` are left out."""
    length = parts.recipe.training.max_length
    return RewardTrainer(**parts.given(RewardConfig(**parts.arguments, max_length=length)))
