"""BLEU and chrF (library: sacrebleu)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

_SENTENCE = BLEU(effective_order=True)
_CHRF = CHRF()


def sentence_bleu(answer: str, references: Sequence[str]) -> float:
    return float(_SENTENCE.sentence_score(answer, list(references)).score)


def chrf(answer: str, references: Sequence[str]) -> float:
    return float(_CHRF.sentence_score(answer, list(references)).score)


def corpus_bleu(answers: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """references: those of each answer; answers may have different numbers of them."""
    most = max(map(len, references))
    # sacrebleu wants streams; where an answer has fewer references, None stands in their place.
    streams: Any = [
        [one[place] if place < len(one) else None for one in references] for place in range(most)
    ]
    return float(BLEU().corpus_score(list(answers), streams).score)
