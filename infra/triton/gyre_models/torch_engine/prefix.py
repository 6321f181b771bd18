"""Starts of prompts that were read before: their keys and values are copied, not computed."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import torch

Tensors = tuple[torch.Tensor, torch.Tensor]


@dataclass(eq=False)
class Prefix:
    """Keys and values [layers, heads, length, head size] and the names of its block ends."""

    keys: torch.Tensor
    values: torch.Tensor
    names: list[bytes]

    @property
    def size(self) -> int:
        return int(self.keys.nbytes + self.values.nbytes)


class PrefixCache:
    """Least recently used first out, within a number of bytes; shared in blocks of tokens.

    A name hashes the scope (salt of the tenant, adapter) and all tokens up to the block's end, so
    nothing is shared between scopes.
    """

    def __init__(self, max_bytes: int, block: int) -> None:
        self._max_bytes, self._block, self._bytes = max_bytes, block, 0
        self._by_name: dict[bytes, tuple[Prefix, int]] = {}
        self._order: OrderedDict[int, Prefix] = OrderedDict()

    @property
    def size(self) -> int:
        """Bytes in use."""
        return self._bytes

    def find(self, scope: str, tokens: Sequence[int]) -> Tensors | None:
        """The longest known start that leaves a token to compute, as views of the stored one."""
        best: tuple[Prefix, int] | None = None
        for name in self._names(scope, tokens[:-1]):
            if name not in self._by_name:
                break
            best = self._by_name[name]
        if best is None:
            return None
        prefix, length = best
        self._order.move_to_end(id(prefix))
        return prefix.keys[:, :, :length], prefix.values[:, :, :length]

    def store(self, scope: str, tokens: Sequence[int], read: Callable[[int], Tensors]) -> None:
        """Keeps the start of a prompt; `read(length)` copies it out of its slot."""
        names = self._names(scope, tokens) if self._max_bytes else []
        if not names or names[-1] in self._by_name:
            return
        prefix = Prefix(*read(len(names) * self._block), names)
        if prefix.size > self._max_bytes:
            return
        self._by_name.update(
            (name, (prefix, (index + 1) * self._block)) for index, name in enumerate(names)
        )
        self._order[id(prefix)] = prefix
        self._bytes += prefix.size
        while self._bytes > self._max_bytes:
            self._drop(self._order.popitem(last=False)[1])

    def _drop(self, prefix: Prefix) -> None:
        self._bytes -= prefix.size
        for name in prefix.names:
            if self._by_name.get(name, (None,))[0] is prefix:
                del self._by_name[name]

    def _names(self, scope: str, tokens: Sequence[int]) -> list[bytes]:
        names, digest = [], blake2b(scope.encode(), digest_size=16)
        for start in range(0, len(tokens) - self._block + 1, self._block):
            digest.update(struct.pack(f"<{self._block}q", *tokens[start : start + self._block]))
            names.append(digest.digest())
        return names
