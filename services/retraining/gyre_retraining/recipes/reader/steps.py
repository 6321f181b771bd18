"""Gradient steps: batches side by side, and the running average of the weights."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import LlamaForCausalLM

from gyre_retraining.recipes.reader.batches import Batch
from gyre_retraining.recipes.reader.config import Run
from gyre_retraining.recipes.reader.loss import LearntSigns, Losses, losses


class Steps:
    """Changes the model in place. `averaged` is what is served: single steps push all lists at
    once to or from the first mark."""

    def __init__(self, model: LlamaForCausalLM, run: Run, signs: LearntSigns) -> None:
        self._model, self._run, self._signs = model, run, signs
        self._weights = list(model.parameters())
        self._threads = ThreadPoolExecutor(run.threads)
        self._optimizer = _optimizer(model, run)
        self.averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(run.averaged))

    def take(self, batches: tuple[Batch, ...], before: int, progress: float) -> Losses:
        """One step on the mean of the batches, each on a thread of its own: they wait for each
        other once a step, where threads inside an operation would at every operation.

        before: steps taken. progress: share (0 to 1) of the run that is over.
        """
        self._set_rates(before, progress)
        found = list(self._threads.map(self._gradients, batches))
        gradients = [gradient for _, gradient in found]
        for weight, *parts in zip(self._weights, *gradients, strict=True):
            weight.grad = torch.stack(parts).mean(0)
        torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.averaged.update_parameters(self._model)
        return found[0][0]

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on."""
        return {
            "model": self._model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self._model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self._optimizer.load_state_dict(state["optimizer"])

    def _gradients(self, batch: Batch) -> tuple[Losses, tuple[torch.Tensor, ...]]:
        half = self._run.bfloat16
        with torch.autocast("cpu", torch.bfloat16, enabled=half, cache_enabled=False):
            hidden = self._model.model(input_ids=batch.ids, use_cache=False).last_hidden_state
        embeddings = self._model.get_input_embeddings().weight
        found = losses(hidden.float().flatten(0, 1), embeddings, batch, self._signs)
        return found, torch.autograd.grad(found.total(), self._weights)

    def _set_rates(self, before: int, progress: float) -> None:
        run = self._run
        warm = min(1.0, (before + 1) / run.warmup_steps)
        left = max(0.03, min(1.0, (1 - progress) / (1 - run.decay_from)))
        rates = (run.rate, run.embedding_rate)
        for group, rate in zip(self._optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * warm * left


def _optimizer(model: LlamaForCausalLM, run: Run) -> torch.optim.Optimizer:
    embeddings = model.get_input_embeddings().weight
    body = [weight for weight in model.parameters() if weight is not embeddings]
    groups = [
        {"params": body, "weight_decay": 0.01},
        {"params": [embeddings], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=run.rate, betas=(0.9, 0.97), fused=True)
