"""What stands in an evaluation set must not be learnt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gyre_retraining.domain.rows import Row
from gyre_retraining.domain.similarity import Near, bag, grams


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """One version of one set, less its split `train`. content_hash: empty while it is open."""

    name: str
    version: int
    content_hash: str
    questions: tuple[str, ...]
    references: tuple[str, ...] = ()


class Contamination:
    """Everything that evaluation sets ask and want to hear.

    A row is contaminated where its question is nearly one of theirs, or where its question or
    what it teaches shares a run of words with theirs. Passages of pairs are not looked at: those
    that an evaluation searches are those that must be found; its questions are the secret.
    """

    def __init__(self, sets: Iterable[EvaluationSet], run_length: int, near: float) -> None:
        self._run_length = run_length
        self._near = Near(near)
        self._grams: set[str] = set()
        asked: set[frozenset[str]] = set()
        for one in sets:
            for text in one.questions:
                asked.add(bag(text))
                self._grams |= grams(text, run_length)
            for text in one.references:
                self._grams |= grams(text, run_length)
        for question in sorted(asked, key=sorted):
            self._near.add(question)

    def holds(self, row: Row) -> bool:
        if row.question and self._near.find(bag(row.question)):
            return True
        texts = (row.question, *(row.taught if row.form != "pairs" else ()))
        return any(not self._grams.isdisjoint(grams(text, self._run_length)) for text in texts)
