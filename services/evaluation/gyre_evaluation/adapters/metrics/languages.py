"""The language of a text (library: lingua)."""

from __future__ import annotations

from functools import cache

from lingua import LanguageDetector, LanguageDetectorBuilder

from gyre_evaluation.domain.metrics.case import Case

SURE = 0.5
LEAST_LETTERS = 12


@cache
def _detector() -> LanguageDetector:
    return LanguageDetectorBuilder.from_all_spoken_languages().with_low_accuracy_mode().build()


def language_of(text: str) -> str:
    """ISO 639-1 in small letters; empty where the text is too short to tell."""
    if sum(one.isalpha() for one in text) < LEAST_LETTERS:
        return ""
    best = _detector().compute_language_confidence_values(text)[0]
    return best.language.iso_code_639_1.name.lower() if best.value >= SURE else ""


def language_match(case: Case) -> float | None:
    asked, answered = case.language or language_of(case.question), language_of(case.answer)
    return float(asked == answered) if asked and answered else None
