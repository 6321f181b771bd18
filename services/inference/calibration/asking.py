"""Asks as the service does: sentences of what was found, by words, then by meaning."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from gyre_inference.domain.passages import Found, Passage, Sentence, sentences_of
from gyre_inference.domain.policy import Policy
from gyre_inference.domain.selection import Scoring, context, score, with_meaning

from calibration.vectors import Embedder

LONGEST = 240
POLICY = Policy(model="")


def scored(question: str, found: Found, embedder: Embedder) -> Scoring:
    """The candidates of a question, best first."""
    words = score(question, sentences_of(found, LONGEST), POLICY.weights)
    first = words.ranked[: POLICY.candidates]
    if not first:
        return words
    return with_meaning(words, embedder.cosines(question, [context(one.sentence) for one in first]))


def near(question: str, passages: Sequence[Passage], embedder: Embedder) -> Found:
    """The passages with their cosines, as search would give them."""
    cosines = embedder.cosines(question, [passage.text for passage in passages])
    pairs = zip(passages, cosines, strict=True)
    return Found(tuple(replace(passage, dense=cosine) for passage, cosine in pairs))


def for_fitting(page: str) -> bool:
    """Half of the pages; what is reported is measured on the other half."""
    return hashlib.sha256(page.encode()).digest()[0] % 2 == 0


def best(scoring: Scoring) -> Sentence:
    """The sentence that a quoting model is led to."""
    return scoring.ranked[0].sentence
