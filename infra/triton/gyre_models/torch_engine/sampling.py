"""The next token of every row. A row's choice depends on its own logits and generator alone."""

from __future__ import annotations

import random
import secrets
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch

from gyre_models.contract.request import Sampling

# Rows that keep at most this many candidates are cut by top-k, others by a full sort.
SMALL_TOP_K = 64


class RowSampler:
    """One answer's sampling state: its generator and the tokens that penalties count."""

    def __init__(self, sampling: Sampling, prompt: Sequence[int]) -> None:
        self.sampling = sampling
        seed = secrets.randbits(64) if sampling.seed is None else sampling.seed
        self._random = random.Random(seed)
        self._prompt = frozenset(prompt) if sampling.penalised else frozenset()
        self._written: Counter[int] = Counter()

    def draw(self) -> float:
        """Uniform in [0, 1)."""
        return self._random.random()

    def note(self, token: int) -> None:
        if self.sampling.penalised:
            self._written[token] += 1

    def penalise(self, logits: torch.Tensor) -> None:
        """In place on one row: repetition over prompt and answer, the others over the answer."""
        self._repetition(logits)
        if self._written:
            ids = torch.tensor(list(self._written), device=logits.device)
            counts = torch.tensor(list(self._written.values()), device=logits.device)
            logits[ids] -= self.sampling.presence_penalty + self.sampling.frequency_penalty * counts

    def _repetition(self, logits: torch.Tensor) -> None:
        penalty = self.sampling.repetition_penalty
        seen = self._prompt.union(self._written)
        if penalty != 1.0 and seen:
            ids = torch.tensor(sorted(seen), device=logits.device)
            values = logits[ids]
            logits[ids] = torch.where(values > 0, values / penalty, values * penalty)


def choose(logits: torch.Tensor, rows: Sequence[RowSampler]) -> list[int]:
    """logits [rows, vocabulary], penalties and guides applied already; returns a token per row."""
    tokens = _best(logits)
    for indices, cut in _groups(rows):
        chosen = _sample(logits[indices], [rows[index] for index in indices], cut)
        for index, token in zip(indices, chosen, strict=True):
            tokens[index] = token
    return tokens


def _best(logits: torch.Tensor) -> list[int]:
    """The first of the highest. On a CPU by numpy: torch takes ten times as long."""
    values: Any = logits.numpy() if logits.device.type == "cpu" else logits
    best: list[int] = values.argmax(-1).tolist()
    return best


def _groups(rows: Sequence[RowSampler]) -> list[tuple[list[int], str]]:
    """Rows by the way they are cut, which only their own settings decide."""
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        if not row.sampling.greedy:
            groups.setdefault(_cut(row.sampling), []).append(index)
    return [(indices, cut) for cut, indices in groups.items()]


def _cut(sampling: Sampling) -> str:
    if 0 < sampling.top_k <= SMALL_TOP_K:
        return "top"
    return "sort" if sampling.top_k or sampling.top_p < 1.0 else "none"


def _sample(logits: torch.Tensor, rows: Sequence[RowSampler], cut: str) -> list[int]:
    values, ids = _candidates(logits, cut)
    settings = [row.sampling for row in rows]
    values = values.double() / _column([s.temperature for s in settings], logits)
    if cut != "none":
        limits = _column([s.top_k or values.shape[1] for s in settings], logits)
        ranks = torch.arange(values.shape[1], device=logits.device)
        values = values.masked_fill(ranks >= limits, -torch.inf)
    weights = _nucleus(values.softmax(-1), settings, cut != "none")
    sums = weights.cumsum(-1)
    points = _column([row.draw() for row in rows], logits) * sums[:, -1:]
    places = torch.searchsorted(sums, points, right=True).clamp(max=values.shape[1] - 1)
    chosen: list[int] = (places if ids is None else ids.gather(1, places)).flatten().tolist()
    return chosen


def _candidates(logits: torch.Tensor, cut: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Values and their tokens, best first where rows are cut."""
    if cut == "none":
        return logits, None
    if cut == "top":
        top = logits.topk(min(SMALL_TOP_K, logits.shape[1]), dim=-1)
        return top.values, top.indices
    ranked = torch.sort(logits, dim=-1, descending=True, stable=True)
    return ranked.values, ranked.indices


def _nucleus(weights: torch.Tensor, settings: Sequence[Sampling], ranked: bool) -> torch.Tensor:
    """Drops what lies outside top_p (the first that reaches it stays) and below min_p."""
    if ranked and any(s.top_p < 1.0 for s in settings):
        before = weights.cumsum(-1) - weights
        limits = _column([s.top_p for s in settings], weights)
        weights = weights.masked_fill(before >= limits, 0.0)
    if any(s.min_p for s in settings):
        floor = _column([s.min_p for s in settings], weights) * weights.amax(-1, keepdim=True)
        weights = weights.masked_fill(weights < floor, 0.0)
    return weights


def _column(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, device=like.device)[:, None]
