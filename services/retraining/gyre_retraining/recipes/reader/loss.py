"""What the run learns: the right first token, which sentences fit, and a little repeating."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gyre_retraining.recipes.reader.batches import Batch

_FIT_WEIGHT, _TEXT_WEIGHT = 1.0, 0.3


@dataclass(frozen=True)
class Losses:
    """Nats: `choice` of the answer's first token, `fit` of each sentence, `text` of the quote."""

    choice: Tensor
    fit: Tensor
    text: Tensor

    def total(self) -> Tensor:
        """The weighted sum that is minimised."""
        return self.choice + _FIT_WEIGHT * self.fit + _TEXT_WEIGHT * self.text


@dataclass(frozen=True)
class LearntSigns:
    """Token ids that the losses read: `choices` of first answers, and the two verdicts."""

    choices: list[int]
    fits: int
    misses: int


def losses(hidden: Tensor, embeddings: Tensor, batch: Batch, signs: LearntSigns) -> Losses:
    """From the last hidden states [rows * length, width] and the tied embeddings. The choice is
    among what a guide allows: that is how the model is asked."""
    choice = functional.linear(hidden[batch.first], embeddings[signs.choices])
    likely = choice.masked_fill(~batch.allowed, float("-inf")).log_softmax(-1)
    chosen = likely.masked_fill(~batch.targets, float("-inf")).logsumexp(-1)
    fit = hidden[batch.ends] @ (embeddings[signs.fits] - embeddings[signs.misses])
    return Losses(
        choice=-chosen.mean(),
        fit=functional.binary_cross_entropy_with_logits(
            fit, batch.right, pos_weight=torch.tensor(2.0)
        ),
        text=_text_loss(hidden, embeddings, batch),
    )


def _text_loss(hidden: Tensor, embeddings: Tensor, batch: Batch) -> Tensor:
    if not len(batch.text):
        return hidden.new_zeros(())
    logits = functional.linear(hidden[batch.text], embeddings)
    return functional.cross_entropy(logits, batch.ids.flatten()[batch.text + 1])
