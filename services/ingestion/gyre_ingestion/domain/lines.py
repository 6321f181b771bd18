"""Finds paragraphs in text that is only lines: plain text and the pages of a PDF."""

import re
from collections.abc import Iterator, Sequence

_BULLET = re.compile(r"^(?:[•●○◦▪■‣⁃∙·–*+-]|\(?(?:\d{1,2}|[a-z])[.)])\s+(?=\S)")
_MARK = re.compile(r"^[•●○◦▪■‣⁃∙·–*+-]\s+")
_CLOSED = re.compile(r"[.!?:;。！？।؟…][\"'”’»)\]]*$")
_FULL = 0.75


def is_bullet(line: str) -> bool:
    """Whether the line opens a list item."""
    return _BULLET.match(line) is not None


def without_mark(line: str) -> str:
    """The item without its bullet; a number stays, for it may be spoken of."""
    return _MARK.sub("", line)


def paragraphs(lines: Sequence[str]) -> Iterator[str]:
    """Joins wrapped lines, each paragraph with its newlines kept for de-hyphenation.

    A paragraph ends at a blank line, before a bullet, and after a line that closes a sentence (or
    is followed by a capital) well before the right margin.
    """
    width = _margin(lines)
    gathered: list[str] = []
    for line in lines:
        if gathered and (not line.strip() or _starts_anew(gathered[-1], line, width)):
            yield "\n".join(gathered)
            gathered = []
        if line.strip():
            gathered.append(line.strip())
    if gathered:
        yield "\n".join(gathered)


def _margin(lines: Sequence[str]) -> int:
    lengths = sorted(len(line.strip()) for line in lines if line.strip())
    return lengths[int(len(lengths) * 0.9)] if lengths else 0


def _starts_anew(before: str, line: str, width: int) -> bool:
    first = line.strip()
    if is_bullet(first):
        return True
    if len(before) >= width * _FULL or first[0].islower():
        return False
    return _CLOSED.search(before) is not None or len(before) < width * 0.5
