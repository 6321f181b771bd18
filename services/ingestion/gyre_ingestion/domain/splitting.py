"""Splits a sentence that is longer than a passage may be."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Protocol

_CLAUSE_END = re.compile(r"[;:,،؛—–)](?=\s)|[、；：，・]")
_SPACE = re.compile(r"\s")
_LIKELY_CHARACTERS_PER_TOKEN = 6
_JOINERS = "\u200c\u200d"


class Tokenizer(Protocol):
    """Counts tokens as the embedding model does. Thread-safe.

    `adds_up`: whether texts with space between them have as many tokens as the texts alone.
    """

    @property
    def adds_up(self) -> bool: ...

    def count(self, text: str) -> int:
        """Tokens of `text`, special tokens included."""
        ...

    def spans(self, text: str) -> Sequence[tuple[int, int]]:
        """Where each token stands in `text` (code points, end exclusive), no special tokens."""
        ...


def split_long(
    text: str, tokenizer: Tokenizer, room: int, longest: int
) -> Iterator[tuple[int, int, int]]:
    """(start, end, tokens) of pieces with at most `room` tokens and `longest` characters each.

    A piece ends at a clause where that leaves it at least half full, else at a word, else between
    characters. Together the pieces hold every character but space.
    """
    position = 0
    while position < len(text):
        window, spans = _window(text[position : position + longest], tokenizer, room)
        if len(window) == len(text) and len(spans) <= room:
            yield 0, len(text), len(spans)
            return
        reach = spans[room][0] if len(spans) > room else len(window)
        end, tokens = _fitting(text, position, position + max(reach, 1), tokenizer, room)
        yield position, end, tokens
        position = _next_character(text, end)


def _window(text: str, tokenizer: Tokenizer, room: int) -> tuple[str, Sequence[tuple[int, int]]]:
    """As much text as is surely enough: a tokenizer takes very long over one very long text."""
    likely = text[: room * _LIKELY_CHARACTERS_PER_TOKEN]
    spans = tokenizer.spans(likely)
    is_enough = len(likely) == len(text) or len(spans) > room
    return (likely, spans) if is_enough else (text, tokenizer.spans(text))


def _fitting(
    text: str, position: int, farthest: int, tokenizer: Tokenizer, room: int
) -> tuple[int, int]:
    """The boundary to end at. A word cut in two may count more than before: it is counted anew."""
    special = tokenizer.count("")
    while True:
        end = _boundary(text, position, farthest)
        tokens = tokenizer.count(text[position:end]) - special
        if tokens <= room or end - position <= 1:
            return end, tokens
        farthest = position + max(1, (end - position) * room // (tokens + 1))


def _boundary(text: str, position: int, farthest: int) -> int:
    if farthest >= len(text):
        return len(text)
    window = text[position : farthest + 1]
    clauses = [m.end() for m in _CLAUSE_END.finditer(window) if m.end() < len(window)]
    if clauses and clauses[-1] >= len(window) // 2:
        return position + clauses[-1]
    spaces = [m.start() for m in _SPACE.finditer(window) if m.start() > 0]
    return position + spaces[-1] if spaces else _between_characters(text, position, farthest)


def _between_characters(text: str, position: int, farthest: int) -> int:
    end = farthest
    while end > position + 1 and (
        unicodedata.category(text[end])[0] == "M"
        or text[end] in _JOINERS
        or text[end - 1] in _JOINERS
    ):
        end -= 1
    return end


def _next_character(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position
