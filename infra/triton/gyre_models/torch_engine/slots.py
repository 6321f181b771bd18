"""Keys and values of all running answers: one dense row per slot, kept compact by the loop."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from transformers.cache_utils import Cache, CacheLayerMixin


@dataclass
class Write:
    """Where the next forward writes.

    Decoding: `positions` [rows], row i writes one token of slot i. Prefill: `positions` is None
    and rows write from `start` on into the slots `first`, `first` + 1, ...
    visible: how many positions of the cache attention sees.
    """

    visible: int = 0
    positions: torch.Tensor | None = None
    rows: torch.Tensor | None = None
    first: int = 0
    start: int = 0


class SlotLayer(CacheLayerMixin):
    """One layer's view of the cache: [slots, heads, length, head size]."""

    is_sliding = False

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, write: Write) -> None:
        super().__init__()
        self.keys, self.values, self.is_initialized = keys, values, True
        self._write = write

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing to do: the slots exist from the start."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        where, count = self._write, key_states.shape[0]
        if where.positions is not None:
            self.keys[where.rows, :, where.positions] = key_states[:, :, 0]
            self.values[where.rows, :, where.positions] = value_states[:, :, 0]
            return self.keys[:count, :, : where.visible], self.values[:count, :, : where.visible]
        slots, span = slice(where.first, where.first + count), slice(where.start, where.visible)
        self.keys[slots, :, span] = key_states
        self.values[slots, :, span] = value_states
        return self.keys[slots, :, : where.visible], self.values[slots, :, : where.visible]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._write.visible, 0

    def get_seq_length(self) -> int:
        return self._write.start

    def get_max_length(self) -> int:
        return int(self.keys.shape[2])


class SlotCache(Cache):
    """The cache object that a Hugging Face forward writes to and attends over."""

    def __init__(
        self,
        key_shape: tuple[int, int, int],
        value_shape: tuple[int, int, int],
        slots: int,
        length: int,
        like: torch.Tensor,
        spare: int = 0,
    ) -> None:
        """Shapes are (layers, heads, head size); `like` gives type and device.

        spare: further rows behind the slots, which belong to no answer.
        """
        self.write = Write()
        self.slots, self.length = slots, length
        self.all_keys = _zeros(key_shape, slots + spare, length, like)
        self.all_values = _zeros(value_shape, slots + spare, length, like)
        super().__init__(
            layers=[
                SlotLayer(keys, values, self.write)
                for keys, values in zip(self.all_keys, self.all_values, strict=True)
            ]
        )

    def move(self, source: int, target: int, length: int) -> None:
        """Copies the first `length` positions of one slot over another."""
        for stack in (self.all_keys, self.all_values):
            stack[:, target, :, :length] = stack[:, source, :, :length]

    def read(self, slot: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """A copy of the start of a slot: keys and values [layers, heads, length, head size]."""
        keys, values = self.all_keys[:, slot, :, :length], self.all_values[:, slot, :, :length]
        return keys.clone(), values.clone()

    def restore(self, slot: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        length = keys.shape[2]
        self.all_keys[:, slot, :, :length] = keys
        self.all_values[:, slot, :, :length] = values


def _zeros(
    shape: tuple[int, int, int], slots: int, length: int, like: torch.Tensor
) -> torch.Tensor:
    """[layers, slots, heads, length, head size] of zeros.

    Zeros, not merely reserved: a masked NaN would still spoil a sum. On a CPU they come from
    numpy, because it gives untouched pages that take no memory until a slot grows into them.
    """
    layers, heads, size = shape
    full = (layers, slots, heads, length, size)
    if like.device.type != "cpu":
        return torch.zeros(full, dtype=like.dtype, device=like.device)
    memory = np.zeros(math.prod(full) * like.element_size(), np.uint8)
    return torch.from_numpy(memory).view(like.dtype).view(full)
