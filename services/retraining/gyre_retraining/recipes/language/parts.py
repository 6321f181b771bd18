"""What every method of a language model is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gyre_retraining.recipes.language.models import lora

if TYPE_CHECKING:
    from gyre_retraining.recipes.schema import Recipe


@dataclass(frozen=True)
class Parts:
    """A model with its tokenizer, rows (`validation`: None where there are none), arguments."""

    recipe: Recipe
    model: Any
    tokenizer: Any
    train: Any
    validation: Any
    arguments: dict[str, Any]

    def given(self, args: Any) -> dict[str, Any]:
        """The arguments that all of TRL's trainers take."""
        return {
            "model": self.model,
            "args": args,
            "train_dataset": self.train,
            "eval_dataset": self.validation,
            "processing_class": self.tokenizer,
            "peft_config": lora(self.recipe.adapter),
        }
