"""What the model answers when it may only cite or refuse: decided by the first answer token."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import LlamaForCausalLM

from gyre_retraining.recipes.reader.items import Item
from gyre_retraining.recipes.reader.layout import Layout

_ROWS = 16


@dataclass(frozen=True)
class Verdict:
    """Log-probabilities of citing each sentence and of refusing."""

    citations: tuple[float, ...]
    refusal: float

    def cited(self) -> int:
        """Index of the sentence it would cite if it may not refuse."""
        return max(range(len(self.citations)), key=self.citations.__getitem__)

    def refuses(self) -> bool:
        """Whether refusing is the likeliest answer."""
        return self.refusal > max(self.citations)


@torch.no_grad()
def verdicts(model: LlamaForCausalLM, layout: Layout, items: Sequence[Item]) -> list[Verdict]:
    """One verdict an item, in order."""
    model.eval()
    examples = [layout.example(item) for item in items]
    order = sorted(range(len(items)), key=lambda i: len(examples[i].ids))
    found: dict[int, Verdict] = {}
    for start in range(0, len(order), _ROWS):
        rows = order[start : start + _ROWS]
        longest = max(len(examples[i].ids) for i in rows)
        ids = torch.full((len(rows), longest), layout.pad)
        for row, i in enumerate(rows):
            ids[row, : len(examples[i].ids)] = torch.tensor(examples[i].ids)
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
        last = hidden[torch.arange(len(rows)), [examples[i].answer - 1 for i in rows]]
        chances = model.lm_head(last).log_softmax(-1)
        for row, i in enumerate(rows):
            marks = layout.marks[: len(items[i].sentences)]
            found[i] = Verdict(
                tuple(chances[row, marks].tolist()), float(chances[row, layout.refusal])
            )
    model.train()
    return [found[i] for i in range(len(items))]
