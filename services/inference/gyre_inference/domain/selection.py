"""The few sentences of the passages found that bear on the question."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gyre_inference.domain.asking import asks_for_number, has_number, is_question
from gyre_inference.domain.passages import Passage, Sentence
from gyre_inference.domain.words import held_terms, language_of, terms

_MODEL_SPEAKS = "en"


@dataclass(frozen=True)
class Weights:
    """What counts how much; `python -m calibration selection` fits them.

    words: share of the question, by rarity, that a sentence and its headings hold. sentence,
    passage: cosine to the question. number: a number where one is asked for. question: the
    sentence is itself a question. foreign: how much of the cosines counts for a question that is
    not English, the language that the embedding model was trained on.
    """

    words: float = 4.6
    sentence: float = 6.2
    passage: float = 3.2
    number: float = 1.1
    question: float = -7.3
    foreign: float = 0.25

    def of(self, language: str) -> Weights:
        """As they count for a question of that language."""
        part = 1.0 if language == _MODEL_SPEAKS else self.foreign
        return replace(self, sentence=part * self.sentence, passage=part * self.passage)


@dataclass(frozen=True)
class Scored:
    """A sentence, its score, and the share of the question that it and its headings hold.

    cosine: to the question; None where it was not compared by meaning.
    """

    sentence: Sentence
    score: float
    words: float
    cosine: float | None = None


@dataclass(frozen=True)
class Scoring:
    """Sentences, best first. weights: as they count for the question's language."""

    ranked: tuple[Scored, ...]
    weights: Weights

    def best(self, count: int) -> Scoring:
        """Only the best few."""
        return replace(self, ranked=self.ranked[:count])


def score(question: str, sentences: Sequence[Sentence], weights: Weights) -> Scoring:
    """By words, and by the meaning of passages, which search has told."""
    weights = weights.of(language_of(question))
    shares = _shares(question, sentences)
    least = _least(sentences)
    number = asks_for_number(question)
    return Scoring(
        _ranked(
            Scored(
                sentence, weights.words * share + _beside(sentence, number, least, weights), share
            )
            for sentence, share in zip(sentences, shares, strict=True)
        ),
        weights,
    )


def with_meaning(scoring: Scoring, cosines: Sequence[float]) -> Scoring:
    """The first sentences, one for each cosine, ranked anew; the others are left out."""
    weight = scoring.weights.sentence
    return replace(
        scoring,
        ranked=_ranked(
            replace(item, score=item.score + weight * cosine, cosine=cosine)
            for item, cosine in zip(scoring.ranked, cosines, strict=False)
        ),
    )


def context(sentence: Sentence) -> str:
    """The line below its heading: what it means is told by both."""
    path = sentence.passage.heading_path
    return f"{path[-1]}: {sentence.line}" if path else sentence.line


def _ranked(items: Iterable[Scored]) -> tuple[Scored, ...]:
    return tuple(sorted(items, key=lambda item: (-item.score, item.sentence.place)))


def _beside(sentence: Sentence, number: bool, least: float, weights: Weights) -> float:
    """What speaks for a sentence beside its words."""
    dense = sentence.passage.dense
    return (
        weights.passage * (least if dense is None else dense)
        + weights.number * (number and has_number(sentence.line))
        + weights.question * is_question(sentence.line)
    )


def _least(sentences: Sequence[Sentence]) -> float:
    """A passage that only its words have found is taken to mean as little as the least one."""
    found = (sentence.passage.dense for sentence in sentences)
    return min((dense for dense in found if dense is not None), default=0.0)


def _shares(question: str, sentences: Sequence[Sentence]) -> list[float]:
    language = language_of(question)
    asked = sorted(set(terms(question, language)))
    own = [held_terms(asked, sentence.line, language) for sentence in sentences]
    passages = {sentence.passage.chunk_id: sentence.passage for sentence in sentences}
    above = {name: _above(asked, passage, language) for name, passage in passages.items()}
    rarity = _rarity(asked, own)
    total = sum(rarity.values()) or 1.0
    return [
        sum(weight for term, weight in rarity.items() if term in held | above[one.passage.chunk_id])
        / total
        for one, held in zip(sentences, own, strict=True)
    ]


def _above(asked: Collection[str], passage: Passage, language: str) -> frozenset[str]:
    return held_terms(asked, " ".join((passage.title, *passage.heading_path)), language)


def _rarity(asked: Iterable[str], held: Sequence[Collection[str]]) -> Mapping[str, float]:
    """Of each term among the sentences; the order is fixed, so that sums are the same each time."""
    counts = {term: sum(term in one for one in held) for term in asked}
    return {term: math.log(1 + (len(held) - n + 0.5) / (n + 0.5)) for term, n in counts.items()}
