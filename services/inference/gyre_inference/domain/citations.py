"""Marks `[n]` in a streamed text, checked while they pass, and the sentences they name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gyre_inference.domain.passages import Sentence

_MARK = re.compile(r"\s?\[\d{1,3}(?:\s*,\s*\d{1,3})*\]")
_MAYBE_MARK = re.compile(r"\s?(?:\[[\d\s,]{0,24})?\Z")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Citation:
    """Sentence `sentence` supports what stands before or after the mark `[number]`."""

    number: int
    sentence: Sentence


class CitationMarks:
    """Reads a text in pieces; lets through marks of sentences that exist, drops the others.

    leading: only a mark at the very start counts; the rest is a quotation, which may hold brackets
    of its own.
    """

    def __init__(self, sentences: Sequence[Sentence], *, leading: bool = False) -> None:
        self._sentences = sentences
        self._leading = leading
        self._held = ""
        self._open = True
        self._cited: dict[int, Citation] = {}
        self.dropped = 0

    @property
    def citations(self) -> tuple[Citation, ...]:
        """Each sentence once, in the order of first mention."""
        return tuple(self._cited.values())

    def feed(self, piece: str) -> str:
        """Text that may be shown now; the start of a possible mark is held back."""
        if not self._open:
            return piece
        text = self._held + piece
        hold = _MAYBE_MARK.search(text)
        cut = hold.start() if hold else len(text)
        self._held = text[cut:]
        return self._checked(text[:cut])

    def finish(self) -> str:
        """What was still held back."""
        held, self._held = self._held, ""
        return held

    def _checked(self, text: str) -> str:
        if self._leading and text.strip():
            self._open = False
            rest, self._held = text + self._held, ""
            return _MARK.sub(self._check, rest, count=1) if _MARK.match(rest) else rest
        return _MARK.sub(self._check, text)

    def _check(self, mark: re.Match[str]) -> str:
        numbers = [int(number) for number in _NUMBER.findall(mark.group())]
        known = [number for number in numbers if 1 <= number <= len(self._sentences)]
        self.dropped += len(numbers) - len(known)
        for number in known:
            self._cited.setdefault(number, Citation(number, self._sentences[number - 1]))
        if len(known) == len(numbers):
            return mark.group()
        space = mark.group()[: mark.group().index("[")]
        return f"{space}[{', '.join(map(str, known))}]" if known else ""
