"""Examples as one batch of tensors."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from gyre_retraining.recipes.reader.config import Phase
from gyre_retraining.recipes.reader.layout import Example, Layout
from gyre_retraining.recipes.reader.sampler import Sampler

_AT_ONCE = 8


@dataclass(frozen=True)
class Batch:
    """`ids` [rows, length]; the rest are places in the flattened ids: `first` of each row's answer
    token, `ends` of its sentences (`right` says which answer), `text` of repeated answer tokens.
    `allowed` and `targets` [rows, choices] say which of the layout's first answer tokens a guide
    allows, and which of them are right."""

    ids: torch.Tensor
    first: torch.Tensor
    allowed: torch.Tensor
    targets: torch.Tensor
    ends: torch.Tensor
    right: torch.Tensor
    text: torch.Tensor
    tokens: int


def batches_of(
    sampler: Sampler,
    layout: Layout,
    phase: Phase,
    batch_tokens: int,
    answer_text: float,
    chance: random.Random,
) -> Iterator[Batch]:
    """A few batches of about `batch_tokens` tokens each; rows of like length stand together."""
    drawn = [
        layout.example(
            sampler.draw(phase, chance), phase.longest if chance.random() < answer_text else None
        )
        for _ in range(_AT_ONCE * batch_tokens // phase.longest)
    ]
    groups = _groups(sorted(drawn, key=lambda example: len(example.ids)), batch_tokens)
    chance.shuffle(groups)
    yield from (collate(group, layout) for group in groups)


def _groups(by_length: list[Example], batch_tokens: int) -> list[list[Example]]:
    groups: list[list[Example]] = [[]]
    for example in by_length:
        if len(example.ids) * (len(groups[-1]) + 1) > batch_tokens and groups[-1]:
            groups.append([])
        groups[-1].append(example)
    return groups


def collate(examples: list[Example], layout: Layout) -> Batch:
    """One batch; padding stands on the right, where causal attention never sees it."""
    length = max(len(example.ids) for example in examples)
    ids = torch.full((len(examples), length), layout.pad)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
    starts = [row * length for row in range(len(examples))]
    placed = list(zip(starts, examples, strict=True))
    return Batch(
        ids=ids,
        first=torch.tensor([start + e.answer - 1 for start, e in placed]),
        allowed=torch.tensor([[c in e.allowed for c in layout.choices] for e in examples]),
        targets=torch.tensor([[c in e.targets for c in layout.choices] for e in examples]),
        ends=torch.tensor([start + end for start, e in placed for end in e.ends]),
        right=torch.tensor([right for e in examples for right in e.right], dtype=torch.float),
        text=torch.tensor(
            [start + i for start, e in placed for i in range(e.answer, len(e.ids) - 1)],
            dtype=torch.long,
        ),
        tokens=sum(len(e.ids) for e in examples),
    )
