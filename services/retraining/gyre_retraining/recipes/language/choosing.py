"""A choice among few first tokens: what a guide leaves is compared, the other tokens are not.

Over the whole vocabulary most of the loss of such an answer is that other words are likely too,
which a guide forbids anyway; learning that away moves weights and no choice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy
from trl import SFTTrainer

from gyre_retraining.recipes.language.render import UNLEARNT


def first_tokens(tokenizer: Any, choices: tuple[str, ...]) -> list[int]:
    """Of each choice; the order is that of the choices."""
    return [tokenizer(text, add_special_tokens=False)["input_ids"][0] for text in choices]


def chosen(rows: Any, choices: list[int]) -> Any:
    """The rows of `tokens` whose learnt tokens all begin a choice: others can teach none."""
    known = {UNLEARNT, *choices}
    return rows.filter(lambda row: known.issuperset(row["labels"]))


def choosing(choices: list[int]) -> type[SFTTrainer]:
    """A trainer whose loss is that of choosing among these tokens."""
    return type("ChoosingTrainer", (_Choosing,), {"choices": choices})


class _Choosing(SFTTrainer):
    choices: list[int]

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Cross-entropy among the choices, at the place before each of them that is learnt."""
        labels = inputs["labels"]
        choices = labels.new_tensor(self.choices)
        rows, places = torch.isin(labels, choices).nonzero(as_tuple=True)
        kept, which = (places - 1).unique(return_inverse=True)
        asked = {name: given for name, given in inputs.items() if name != "labels"}
        outputs = model(**asked | {"use_cache": False}, logits_to_keep=kept)
        told = outputs.logits[rows, which][:, self.choices].float()
        right = (labels[rows, places].unsqueeze(1) == choices).int().argmax(1)
        total = cross_entropy(told, right, reduction="sum")
        loss = total / (max(1, len(rows)) if num_items_in_batch is None else num_items_in_batch)
        return (loss, {"loss": loss, "logits": told}) if return_outputs else loss
