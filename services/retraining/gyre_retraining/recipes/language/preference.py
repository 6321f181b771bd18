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
    section = parts.recipe.preference
    own = section.model_dump() if section else {}
    length = parts.recipe.training.max_length
    return KTOTrainer(**parts.given(KTOConfig(**parts.arguments, max_length=length, **own)))


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
