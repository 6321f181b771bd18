"""Whether the documents found can answer the question at all."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from gyre_inference.domain.selection import Scoring


@dataclass(frozen=True)
class Support:
    """How much speaks for an answer.

    words: largest share of the question, by rarity, that one sentence and its headings hold. A
        term that no passage holds weighs most. sentence, passage: nearest cosine; None where none
        is known.
    """

    words: float
    sentence: float | None
    passage: float | None

    @property
    def score(self) -> float:
        """0 to 1. At 0.5, nine of ten questions about something else lie below.

        Fitted by `python -m calibration refusal`, for each set of what may be known.
        """
        known = (self.words, self.sentence, self.passage)
        weights, bias = _FITTED[self.sentence is not None, self.passage is not None]
        given = (value for value in known if value is not None)
        return 1 / (1 + math.exp(-bias - sum(w * v for w, v in zip(weights, given, strict=True))))


# Whether the cosines of sentences and of passages are known: weights in that order, bias.
_FITTED = {
    (True, True): ((4.08, 7.36, 8.23), -8.34),
    (True, False): ((4.06, 12.24), -7.83),
    (False, True): ((4.64, 12.55), -6.63),
    (False, False): ((7.33,), -4.86),
}


def support(scoring: Scoring) -> Support:
    """The best of all sentences, and of their passages."""
    ranked = scoring.ranked
    return Support(
        words=max((item.words for item in ranked), default=0.0),
        sentence=_largest(item.cosine for item in ranked),
        passage=_largest(item.sentence.passage.dense for item in ranked),
    )


def _largest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
