"""How much of a text its sources support, by words and by meaning; the better of both counts."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from gyre_inference.domain.words import held_terms, language_of, terms
from gyre_inference.ports import SentenceVectors

TEXTS = 256
LEAST = 0.6
_END = re.compile(r"(?<=[.!?])\s+")
_MARK = re.compile(r"\s*\[\d[\d,\s]*\]")


def claims_of(text: str) -> list[str]:
    """Its sentences without the marks of citations, at most half of what is compared at once."""
    parts = (_MARK.sub("", part).strip() for part in _END.split(text))
    return [part for part in parts if any(map(str.isalnum, part))][: TEXTS // 2]


async def supports(
    vectors: SentenceVectors, claims: Sequence[str], lines: Sequence[str]
) -> list[float]:
    """Of each claim, 0 to 1, by the line that supports it best. Raises `Unavailable`."""
    if not claims or not lines:
        return [0.0] * len(claims)
    made = np.asarray(await vectors.vectors([*claims, *lines]), np.float32)
    cosines = (made[: len(claims)] @ made[len(claims) :].T).max(axis=1)
    return [
        max(_share(claim, lines), float(cosine))
        for claim, cosine in zip(claims, cosines, strict=True)
    ]


async def supported_share(
    vectors: SentenceVectors, text: str, lines: Sequence[str]
) -> float | None:
    """Share of its claims that are supported; None where it makes none. Raises `Unavailable`."""
    claims = claims_of(text)
    if not claims:
        return None
    found = await supports(vectors, claims, lines[: TEXTS - len(claims)])
    return sum(support >= LEAST for support in found) / len(found)


def _share(claim: str, lines: Sequence[str]) -> float:
    """Largest share of the claim's words that one line holds."""
    language = language_of(claim)
    asked = set(terms(claim, language))
    if not asked:
        return 0.0
    return max(len(held_terms(asked, line, language)) / len(asked) for line in lines)
