"""Supervised: answers to repeat (`sft`), and plain text to read on (`domain`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trl import SFTConfig, SFTTrainer

if TYPE_CHECKING:
    from gyre_retraining.recipes.language.parts import Parts


def demonstrations(parts: Parts) -> Any:
    """Learns the completion, not the prompt. Rows: prompt, completion."""
    return _trainer(parts, completion_only_loss=True)


def texts(parts: Parts) -> Any:
    """Learns every token; texts are put one after the other and cut at `max_length`. Rows: text."""
    return _trainer(parts, packing=True, packing_strategy="wrapped")


def _trainer(parts: Parts, **own: Any) -> Any:
    length = parts.recipe.training.max_length
    args = SFTConfig(**parts.arguments, max_length=length, **own)
    return SFTTrainer(**parts.given(args))
