"""The head's product: faster, and the same numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from gyre_models.contract.request import Sampling
from gyre_models.torch_engine.checkpoint import load
from gyre_models.torch_engine.head import lay_out
from gyre_models.torch_engine.sampling import RowSampler, choose
from gyre_models.torch_engine.settings import EngineSettings


@pytest.mark.parametrize("rows", [1, 7, 32, 40])
@torch.inference_mode()
def test_a_head_that_was_laid_out_gives_the_same_scores(llama_dir: Path, rows: int) -> None:
    model = load(llama_dir, EngineSettings()).model
    states = torch.randn(rows, 1, model.config.hidden_size)
    head = model.get_output_embeddings()
    plain = head(states)
    assert lay_out(model, 32)
    assert torch.allclose(head(states), plain, rtol=1e-5, atol=1e-5)
    assert head.forward.__module__ == lay_out.__module__


def test_a_head_of_another_type_stays_as_it_is(llama_dir: Path) -> None:
    model = load(llama_dir, EngineSettings(dtype="bfloat16")).model
    assert not lay_out(model, 32)


@torch.inference_mode()
def test_of_equal_scores_the_first_is_chosen() -> None:
    greedy = RowSampler(Sampling(temperature=0.0), [])
    logits = torch.tensor([[0.0, 2.0, 2.0], [3.0, 1.0, 3.0]])
    assert choose(logits, [greedy, greedy]) == [1, 0]
