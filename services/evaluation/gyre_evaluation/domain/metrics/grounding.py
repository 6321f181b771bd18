"""Sentences against evidence: how well is what is said supported?

The support of a sentence is the mean of two readings: how near the nearest sentence of the
evidence is in meaning (cosine of embeddings), and which share of its content words, numbers above
all, stands in one passage. Meaning alone takes a wrong number for a right one, words alone take a
paraphrase for an invention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from statistics import fmean

from gyre_evaluation.domain.metrics.case import Case
from gyre_evaluation.domain.metrics.refusals import refused
from gyre_evaluation.domain.metrics.sentences import content_words, marks, plain, sentences

Similarity = Callable[[str, str], float]
"""Cosine of two texts' embeddings."""

NUMBER_WEIGHT = 3.0


def support(sentence: str, evidence: Sequence[str], similar: Similarity) -> float:
    """0 to 1; evidence: texts of any length, none of them is 0."""
    if not evidence:
        return 0.0
    pieces = [piece for text in evidence for piece in _pieces(text)]
    meaning = max((similar(sentence, piece) for piece in pieces), default=0.0)
    return (max(meaning, 0.0) + max(_coverage(sentence, text) for text in evidence)) / 2


def groundedness(case: Case, similar: Similarity) -> float | None:
    """None for a refusal: it claims nothing."""
    if refused(case):
        return None
    evidence = [passage.text for passage in case.passages]
    return _mean(support(one, evidence, similar) for one in _said(case))


def citation_precision(case: Case, similar: Similarity) -> float | None:
    """None without citations. A mark that stands for nothing supports nothing."""
    if refused(case):
        return None
    cited = case.cited
    return _mean(
        support(plain(one), [cited[number]], similar) if number in cited else 0.0
        for one in sentences(case.answer)
        for number in marks(one)
    )


def citation_recall(case: Case, similar: Similarity) -> float | None:
    """A sentence without a citation counts 0."""
    if refused(case):
        return None
    cited = case.cited
    return _mean(
        support(plain(one), [cited[number] for number in marks(one) if number in cited], similar)
        for one in sentences(case.answer)
    )


def context_recall(case: Case, similar: Similarity) -> float | None:
    evidence = [passage.text for passage in case.passages]
    return _mean(support(one, evidence, similar) for one in sentences(case.references[0]))


def answer_relevance(case: Case, similar: Similarity) -> float:
    if refused(case):
        return 0.0
    return max((similar(case.question, one) for one in _said(case)), default=0.0)


def answer_similarity(case: Case, similar: Similarity) -> float:
    if not case.answer.strip():
        return 0.0
    return max(similar(case.answer, one) for one in case.references)


def texts_compared(case: Case) -> set[str]:
    """Every text whose embedding one of these metrics may ask for."""
    evidence = [*(one.text for one in case.passages), *case.cited.values()]
    return {
        case.question,
        case.answer,
        *case.references,
        *_said(case),
        *(piece for text in (*evidence, *case.references[:1]) for piece in sentences(text)),
    }


# Every sentence of an answer is held against the same passages.
@lru_cache(maxsize=512)
def _pieces(text: str) -> tuple[str, ...]:
    return tuple(sentences(text))


@lru_cache(maxsize=512)
def _bag(text: str) -> frozenset[str]:
    return frozenset(content_words(text))


def _said(case: Case) -> list[str]:
    return [plain(one) for one in sentences(case.answer)]


def _coverage(sentence: str, text: str) -> float:
    said, there = content_words(sentence), _bag(text)
    weights = {word: NUMBER_WEIGHT if word[0].isdigit() else 1.0 for word in said}
    total = sum(weights.values())
    return sum(weights[word] for word in weights.keys() & there) / total if total else 1.0


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return fmean(found) if found else None
