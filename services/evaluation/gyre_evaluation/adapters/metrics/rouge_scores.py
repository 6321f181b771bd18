"""ROUGE (library: rouge-score)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from rouge_score.rouge_scorer import RougeScorer

KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_SCORER = RougeScorer(list(KINDS), use_stemmer=True)


def rouge(kind: str, answer: str, references: Sequence[str]) -> float:
    """F1 with the best reference. rougeLsum reads each line as a sentence."""
    return max(_scores(one, answer)[kind] for one in references)


@lru_cache(maxsize=256)
def _scores(reference: str, answer: str) -> dict[str, float]:
    """All kinds at once: they share the words, and one answer is asked for each of them."""
    return {kind: float(one.fmeasure) for kind, one in _SCORER.score(reference, answer).items()}
