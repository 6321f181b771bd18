"""What a metric is given: a question, its answer, and what is known about both."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """A passage, best first among its like. Ids are empty where there are none."""

    text: str
    chunk_id: str = ""
    document_id: str = ""


@dataclass(frozen=True, slots=True)
class Cited:
    """What the mark `[number]` in an answer stands for."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """refused: None where only the text can tell. language: of the question, ISO 639-1, or empty.

    citations: without any, the mark [n] stands for the n-th passage.
    """

    question: str
    answer: str
    references: tuple[str, ...] = ()
    passages: tuple[Evidence, ...] = ()
    relevant_ids: frozenset[str] = frozenset()
    unanswerable: bool = False
    refused: bool | None = None
    citations: tuple[Cited, ...] = ()
    language: str = ""

    @property
    def cited(self) -> dict[int, str]:
        """What each mark stands for."""
        if self.citations:
            return {one.number: one.text for one in self.citations}
        return {place: passage.text for place, passage in enumerate(self.passages, start=1)}
