"""Decode steps recorded as CUDA graphs: one launch for each step instead of hundreds."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import torch

WARM_UPS = 2
NARROWEST = 128
Step = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, int], torch.Tensor]


class DecodeGraphs:
    """A step for every power of two of rows and of visible positions, recorded when it is first
    needed (about a tenth of a second). Not thread-safe: the loop thread owns it.

    What fills a step up to its power of two writes to slot `spare`, which no answer has.
    """

    def __init__(self, step: Step, spare: int, length: int, device: torch.device) -> None:
        """step(ids [rows], slots [rows], positions [rows], visible) -> logits [rows, vocabulary].

        It must neither wait for the device nor read anything else that changes.
        """
        self._step, self._spare, self._length = step, spare, length
        self._given = torch.zeros((3, spare), dtype=torch.long, device=device)
        self._staged = torch.zeros((3, spare), dtype=torch.long).pin_memory()
        self._recorded: dict[tuple[int, int], tuple[torch.cuda.CUDAGraph, torch.Tensor]] = {}
        self._memory = torch.cuda.graph_pool_handle()

    def decode(self, tokens: Sequence[int], lengths: Sequence[int]) -> torch.Tensor:
        """Token i goes to position `lengths[i]` of slot i; logits hold until the next step."""
        count = len(tokens)
        size = (
            power_of_two(count, 1, self._spare),
            power_of_two(max(lengths) + 1, NARROWEST, self._length),
        )
        self._staged[:, : size[0]] = torch.tensor(
            [
                [*tokens, *[0] * (size[0] - count)],
                [*range(count), *[self._spare] * (size[0] - count)],
                [*lengths, *[0] * (size[0] - count)],
            ]
        )
        self._given.copy_(self._staged, non_blocking=True)
        graph, logits = self._recorded.get(size) or self._record(size)
        graph.replay()
        return logits[:count]

    def _record(self, size: tuple[int, int]) -> tuple[torch.cuda.CUDAGraph, torch.Tensor]:
        rows, visible = size
        ids, slots, positions = self._given[:, :rows]
        # Libraries choose kernels and take memory in their first calls, which cannot be recorded.
        aside, now = torch.cuda.Stream(), torch.cuda.current_stream()
        aside.wait_stream(now)
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                self._step(ids, slots, positions, visible)
        now.wait_stream(aside)
        # An old graph that is collected while another is recorded breaks the recording.
        gc.collect()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._memory, capture_error_mode="thread_local"):
            logits = self._step(ids, slots, positions, visible)
        self._recorded[size] = graph, logits
        return graph, logits


def power_of_two(number: int, least: int, most: int) -> int:
    """The next power of two from `number` on, between both limits."""
    return min(max(1 << (number - 1).bit_length(), least), most)
