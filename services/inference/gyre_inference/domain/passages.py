"""What search brings back, and the sentences cut from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

_SPACE = re.compile(r"\s+")
_CLAUSE = re.compile(r"(?<=[;,:])\s+")


@dataclass(frozen=True)
class SearchFilter:
    """Conditions on a passage's document; empty ones hold for all."""

    document_ids: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Passage:
    """One hit. Spans are code points of `text`, end exclusive. dense: cosine, None if unknown."""

    chunk_id: str
    document_id: str
    revision: int
    ordinal: int
    text: str
    spans: tuple[tuple[int, int], ...]
    title: str = ""
    source_uri: str = ""
    language: str = ""
    heading_path: tuple[str, ...] = ()
    page: int = 0
    rank: int = 1
    score: float = 0.0
    dense: float | None = None


@dataclass(frozen=True)
class Found:
    """Hits of one search, best first."""

    passages: tuple[Passage, ...] = ()
    index_version: str = ""


@dataclass(frozen=True)
class Sentence:
    """A sentence, or a clause of one that is too long, with its place in its passage."""

    passage: Passage = field(repr=False)
    start: int
    end: int

    @property
    def verbatim(self) -> str:
        """The characters of the document, as they stand there."""
        return self.passage.text[self.start : self.end]

    @cached_property
    def line(self) -> str:
        """The same on one line: what models and guides see."""
        return one_line(self.verbatim)

    @property
    def place(self) -> tuple[str, int, int]:
        """Sorts sentences into the order of their documents."""
        return (self.passage.document_id, self.passage.ordinal, self.start)


def one_line(text: str) -> str:
    """Every run of white space becomes one space."""
    return _SPACE.sub(" ", text).strip()


def sentences_of(found: Found, longest: int) -> list[Sentence]:
    """All sentences of the hits, each text once; longer than `longest` are cut at clauses."""
    unique: dict[tuple[str, str], Sentence] = {}
    for passage in found.passages:
        for start, end in passage.spans:
            for sentence in _pieces(passage, start, end, longest):
                unique.setdefault((passage.document_id, sentence.line), sentence)
    return [sentence for (_, line), sentence in unique.items() if _says_something(line)]


def _says_something(line: str) -> bool:
    return sum(character.isalnum() for character in line) >= 3


def _pieces(passage: Passage, start: int, end: int, longest: int) -> Iterator[Sentence]:
    while end - start > longest:
        stop = _cut(passage.text, start, longest)
        yield Sentence(passage, start, stop)
        start = stop
    yield Sentence(passage, start, end)


def _cut(text: str, start: int, longest: int) -> int:
    """Behind the last clause of the second half, else behind the last word, else in a word."""
    half, limit = start + longest // 2, start + longest
    clauses = [match.end() for match in _CLAUSE.finditer(text, half, limit)]
    return clauses[-1] if clauses else text.rfind(" ", half, limit) + 1 or limit
