"""The two uses of a model: read prompts into slots, and write the next token of all slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from gyre_models.torch_engine.checkpoint import Checkpoint
from gyre_models.torch_engine.graphs import DecodeGraphs
from gyre_models.torch_engine.head import lay_out
from gyre_models.torch_engine.slots import SlotCache

BASE = "__base__"
VISIBLE_STEP = 32


class UnsupportedModelError(ValueError):
    """The architecture does not work with the slot cache."""


class Forward:
    """A causal language model over a slot cache. Not thread-safe: the loop thread owns it."""

    def __init__(self, checkpoint: Checkpoint, slots: int, max_length: int) -> None:
        self._model = checkpoint.model
        self._adapters = bool(checkpoint.adapters)
        self._keeps = checkpoint.keeps_logits
        self._additive_mask = checkpoint.model.config._attn_implementation == "eager"
        self.device = checkpoint.device
        key_shape, value_shape, like = _shapes(self._model, self.device)
        recorded = self.device.type == "cuda" and not self._adapters
        spare = 1 if recorded else 0
        self.cache = SlotCache(key_shape, value_shape, slots, max_length, like, spare)
        self._positions = torch.arange(max_length, device=self.device)
        self._graphs = (
            DecodeGraphs(self._step, slots, max_length, self.device) if recorded else None
        )
        self._check()

    @torch.inference_mode()
    def prefill(
        self, prompts: Sequence[Sequence[int]], first: int, start: int, adapters: Sequence[str]
    ) -> torch.Tensor:
        """Reads row i into slot `first` + i from position `start`; logits [rows, vocabulary].

        Shorter rows are filled up on the right: what they write there is never visible.
        """
        width = max(map(len, prompts))
        write = self.cache.write
        write.positions, write.first, write.start, write.visible = None, first, start, start + width
        ids = torch.tensor([[*p, *([0] * (width - len(p)))] for p in prompts], device=self.device)
        positions = self._positions[start : start + width]
        mask = self._positions[: start + width] <= positions[:, None]
        last = torch.tensor([len(p) - 1 for p in prompts], device=self.device)
        kept, row = torch.unique(last, return_inverse=True) if self._keeps else (None, last)
        logits = self._call(ids, mask[None, None], positions[None], adapters, kept)
        return logits[torch.arange(len(prompts), device=self.device), row].float()

    @torch.inference_mode()
    def decode(
        self, tokens: Sequence[int], lengths: Sequence[int], adapters: Sequence[str]
    ) -> torch.Tensor:
        """Token i goes to position `lengths[i]` of slot i; logits [rows, vocabulary]."""
        if self._graphs is not None:
            return self._graphs.decode(tokens, lengths)
        steps = max(lengths) // VISIBLE_STEP + 1
        return self._step(
            torch.tensor(tokens, device=self.device),
            self._positions[: len(tokens)],
            torch.tensor(lengths, device=self.device),
            min(steps * VISIBLE_STEP, self.cache.length),
            adapters,
        )

    def _step(
        self,
        ids: torch.Tensor,
        slots: torch.Tensor,
        positions: torch.Tensor,
        visible: int,
        adapters: Sequence[str] = (),
    ) -> torch.Tensor:
        write = self.cache.write
        write.positions, write.rows, write.visible = positions, slots, visible
        mask = self._positions[:visible] <= positions[:, None]
        logits = self._call(ids[:, None], mask[:, None, None], positions[:, None], adapters, None)
        return logits[:, -1].float()

    def _call(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        positions: torch.Tensor,
        adapters: Sequence[str],
        kept: torch.Tensor | None,
    ) -> torch.Tensor:
        options = self._adapted(adapters)
        if kept is not None:
            options["logits_to_keep"] = kept
        if self._additive_mask:
            mask = torch.where(mask, 0.0, torch.finfo(self._model.dtype).min).to(self._model.dtype)
        reply = self._model(
            input_ids=ids,
            attention_mask=mask.expand(len(ids), -1, -1, -1),
            position_ids=positions.expand(len(ids), -1),
            past_key_values=self.cache,
            use_cache=True,
            **options,
        )
        logits: torch.Tensor = reply.logits
        return logits

    def _adapted(self, names: Sequence[str]) -> dict[str, Any]:
        return {"adapter_names": [name or BASE for name in names]} if self._adapters else {}

    @torch.inference_mode()
    def _check(self) -> None:
        """The slot forward, with its head laid out, must give what the model's own forward gives,
        or the load fails."""
        ids = [index % self._model.config.get_text_config().vocab_size for index in range(3, 9)]
        whole = torch.tensor([ids], device=self.device)
        own = self._model(input_ids=whole, **self._adapted([""])).logits[0].float()
        lay_out(self._model, self.cache.slots)
        read = self.prefill([ids[:5]], 0, 0, [""])
        written = self.decode([ids[5]], [5], [""])
        tolerance = 1e-3 if self._model.dtype == torch.float32 else 0.25
        for expected, found in ((own[4], read[0]), (own[5], written[0])):
            if not torch.allclose(expected, found, rtol=tolerance, atol=tolerance):
                raise UnsupportedModelError(
                    f"{type(self._model).__name__} answers differently over a slot cache: "
                    "this engine cannot serve it"
                )


@torch.inference_mode()
def _shapes(
    model: Any, device: torch.device
) -> tuple[tuple[int, int, int], tuple[int, int, int], torch.Tensor]:
    """(layers, heads, head size) of keys and of values, seen in one token's own cache."""
    reply = model(input_ids=torch.zeros((1, 1), dtype=torch.long, device=device), use_cache=True)
    layers = getattr(reply.past_key_values, "layers", None) or []
    shapes = {
        (tuple(layer.keys.shape[1::2]), tuple(layer.values.shape[1::2]))
        for layer in layers
        if getattr(layer, "keys", None) is not None
    }
    if len(shapes) != 1 or any(getattr(layer, "keys", None) is None for layer in layers):
        raise UnsupportedModelError(f"{type(model).__name__} has no uniform key-value cache")
    ((keys, values),) = shapes
    return (len(layers), *keys), (len(layers), *values), layers[0].keys
