"""Recorded decode steps give what the same steps give when they are not recorded."""

from __future__ import annotations

import pytest
import torch
from gyre_models.torch_engine.checkpoint import Checkpoint
from gyre_models.torch_engine.forward import Forward
from gyre_models.torch_engine.graphs import power_of_two

LENGTHS = [5, 130, 77, 0, 211]
SLOTS = 6


@pytest.mark.parametrize(("number", "expected"), [(1, 8), (8, 8), (9, 16), (33, 64), (65, 80)])
def test_sizes_are_powers_of_two_between_both_limits(number: int, expected: int) -> None:
    assert power_of_two(number, 8, 80) == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("count", [1, 2, 3, 5])
@torch.inference_mode()
def test_a_recorded_step_equals_the_plain_one_and_touches_no_other_slot(
    llama: Checkpoint, count: int
) -> None:
    forward = Forward(llama, SLOTS, 256)
    assert forward._graphs is not None
    cache = forward.cache
    torch.manual_seed(count)
    for stack in (cache.all_keys, cache.all_values):
        stack.copy_(torch.randn_like(stack) / 10)
    before = cache.all_keys.clone(), cache.all_values.clone()
    tokens, lengths = list(range(7, 7 + count)), LENGTHS[:count]
    recorded = forward.decode(tokens, lengths, [""] * count).clone()
    after = cache.all_keys[:, :SLOTS].clone(), cache.all_values[:, :SLOTS].clone()
    cache.all_keys.copy_(before[0])
    cache.all_values.copy_(before[1])
    plain = forward._step(
        torch.tensor(tokens, device=forward.device),
        torch.arange(count, device=forward.device),
        torch.tensor(lengths, device=forward.device),
        max(lengths) + 1,
    )
    torch.testing.assert_close(recorded, plain, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(after[0], cache.all_keys[:, :SLOTS], rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(after[1], cache.all_values[:, :SLOTS], rtol=2e-2, atol=2e-2)
