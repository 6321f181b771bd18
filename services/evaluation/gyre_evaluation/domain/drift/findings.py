"""What moved between the reference and a window, out of all that was tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gyre_evaluation.domain.multiplicity import holm

LEVEL = 0.001
"""Chance that a window of unchanged traffic raises an alarm, all its tests together."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One feature by one test. reference, current: its mean, its share or, for embeddings, how
    new or how separable the questions are. examples: answers of the window that show it best.
    value: the word whose share grew most."""

    feature: str
    test: str
    statistic: float
    p_value: float
    reference: float
    current: float
    examples: tuple[str, ...] = ()
    value: str = ""

    @property
    def detail(self) -> str:
        name = _NAMES.get(self.feature, self.feature.replace("_", " "))
        of = f" ({self.value})" if self.value else ""
        return (
            f"{name}{of} moved from "
            f"{self.reference:.3g} to {self.current:.3g} ({self.test}, p = {self.p_value:.1g})"
        )


_NAMES = {
    "question_novelty": "distance of questions to their nearest neighbours in the reference",
    "question_embedding": "how well a classifier tells the questions from the reference (AUC)",
}


def corrected(findings: Sequence[Finding]) -> list[Finding]:
    """With p-values corrected for all of them (Holm)."""
    p_values = holm([one.p_value for one in findings])
    return [replace(one, p_value=p) for one, p in zip(findings, p_values, strict=True)]


def moved(findings: Sequence[Finding], level: float = LEVEL) -> list[Finding]:
    """Corrected, those under the level, strongest first."""
    found = [one for one in corrected(findings) if one.p_value < level]
    return sorted(found, key=lambda one: (one.p_value, one.feature))
