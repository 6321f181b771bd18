"""Supervised: answers to repeat (`sft`), and plain text to read on (`domain`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trl import SFTConfig, SFTTrainer

from gyre_retraining.recipes.ending import JobError
from gyre_retraining.recipes.language.choosing import choosing, chosen, first_tokens
from gyre_retraining.recipes.language.render import tokens

if TYPE_CHECKING:
    from gyre_retraining.recipes.language.parts import Parts


def demonstrations(parts: Parts) -> Any:
    """Learns the completion, not the prompt. Rows: prompt, completion."""
    length, held_back = parts.recipe.training.max_length, parts.validation
    ids = replace(
        parts,
        train=tokens(parts.tokenizer, parts.train, length),
        validation=held_back and tokens(parts.tokenizer, held_back, length),
    )
    return _choices(ids) if parts.recipe.training.choices else _trainer(ids)


def _choices(ids: Parts) -> Any:
    """Only rows that choose; none of them is told as too few rows."""
    choices = first_tokens(ids.tokenizer, ids.recipe.training.choices)
    some = replace(ids, train=chosen(ids.train, choices))
    if len(some.train) == 0:
        raise JobError("too_few_rows", "no answer begins with one of the choices")
    return _trainer(some, choosing(choices))


def texts(parts: Parts) -> Any:
    """Learns every token; texts are put one after the other and cut at `max_length`. Rows: text."""
    return _trainer(parts, packing=True, packing_strategy="wrapped")


def _trainer(parts: Parts, kind: Any = SFTTrainer, **own: Any) -> Any:
    length = parts.recipe.training.max_length
    args = SFTConfig(**parts.arguments, max_length=length, **own)
    return kind(**parts.given(args))
