"""What a metric is given: a question, its answer, and what is known about both."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """A passage, best first among its like. Ids are empty where there are none. source: what its
    uploader called the document. headings: above the passage, outermost first."""

    text: str
    chunk_id: str = ""
    document_id: str = ""
    source: str = ""
    headings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "headings", tuple(self.headings))  # JSON knows lists alone

    @property
    def documents(self) -> tuple[str, ...]:
        """What its document may be called."""
        return tuple(filter(None, (self.document_id, self.source)))

    @property
    def sections(self) -> tuple[str, ...]:
        """What its sections may be called, `DOCUMENT#HEADING`; innermost first."""
        return tuple(
            f"{document}#{heading}"
            for heading in reversed(self.headings)
            for document in self.documents
        )

    @property
    def place(self) -> str:
        """Where it is from, for people."""
        headings = " > ".join(self.headings)
        return " # ".join(
            filter(None, (self.source or self.document_id or self.chunk_id, headings))
        )


@dataclass(frozen=True, slots=True)
class Cited:
    """What the mark `[number]` in an answer stands for."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """refused: None where only the text can tell. language: of the question, ISO 639-1, or empty.

    citations: without any, the mark [n] stands for the n-th passage. searched: the passages are
    what is judged, so that finding none is a result and not a lack.
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
    searched: bool = False

    @property
    def cited(self) -> dict[int, str]:
        """What each mark stands for."""
        if self.citations:
            return {one.number: one.text for one in self.citations}
        return {place: passage.text for place, passage in enumerate(self.passages, start=1)}
