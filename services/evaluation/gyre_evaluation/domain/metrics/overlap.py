"""Words in common with a reference, as SQuAD's official script counts them."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)


def normalised(text: str) -> str:
    """Case, punctuation, articles and surplus blanks aside."""
    spared = "".join(one for one in text.lower() if one not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", spared).split())


def exact_match(answer: str, references: Sequence[str]) -> float:
    return float(any(normalised(answer) == normalised(one) for one in references))


def token_f1(answer: str, references: Sequence[str]) -> float:
    return max(_f1(normalised(answer).split(), normalised(one).split()) for one in references)


def accuracy(answer: str, references: Sequence[str]) -> float:
    label = answer.strip().casefold()
    return float(any(label == one.strip().casefold() for one in references))


def _f1(answer: Sequence[str], reference: Sequence[str]) -> float:
    if not answer or not reference:  # SQuAD: without an answer both must be empty
        return float(list(answer) == list(reference))
    common = (Counter(answer) & Counter(reference)).total()
    return 2 * common / (len(answer) + len(reference))
