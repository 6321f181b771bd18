"""Two samples of live answers, compared feature by feature."""

from __future__ import annotations

from collections.abc import Sequence

from gyre_evaluation.adapters.statistics import questions, words
from gyre_evaluation.adapters.statistics.numbers import number_moved
from gyre_evaluation.adapters.statistics.sizes import LEAST
from gyre_evaluation.domain.drift.findings import Finding
from gyre_evaluation.domain.drift.traffic import Observation

Sample = Sequence[Observation]


def compare(reference: Sample, current: Sample) -> list[Finding]:
    """A finding for each test that has enough values on both sides, p-values uncorrected.

    The order is fixed: embeddings of questions, then numbers, then words, by name.
    """
    found: list[Finding] = []
    before, now = ([one for one in sample if one.vector] for sample in (reference, current))
    if min(len(before), len(now)) >= LEAST:
        found += [questions.novelty(before, now), questions.separability(before, now)]
    for feature in sorted({name for one in current for name in one.numbers}):
        pairs = [
            [(one.answer_id, one.numbers[feature]) for one in sample if feature in one.numbers]
            for sample in (reference, current)
        ]
        if min(map(len, pairs)) >= LEAST:
            found.append(number_moved(feature, *pairs))
    for feature in sorted({name for one in current for name in one.words}):
        told = [
            [(one.answer_id, one.words[feature]) for one in sample if feature in one.words]
            for sample in (reference, current)
        ]
        if min(map(len, told)) >= LEAST:
            found.append(words.words_moved(feature, *told))
    return found
