"""Splits text into sentences by rules that hold for most scripts."""

import re
from collections.abc import Iterator

from gyre_ingestion.domain.abbreviations import (
    BEFORE_NUMBER,
    BEFORE_ORDINAL,
    EITHER,
    INNER,
    MONTHS,
    OPENERS,
    plain,
)

_CLOSERS = "[\"'”’»«›)\\]}」』】》〉）］*_]*+"
# Marks that end a sentence even when no space follows (Chinese, Japanese).
_TIGHT = "[。！？｡]++"
# Marks that need a space or the end: Latin, Arabic, Indic, Armenian, Ethiopic, Burmese, Khmer.
_MARKS = "[.!?…‼⁇⁈⁉؟۔։।॥።፧፨။។៕]"
_LOOSE = f"(?<!{_MARKS}){_MARKS}++"
_END = re.compile(f"(?P<tight>{_TIGHT}){_CLOSERS}|(?P<loose>{_LOOSE}){_CLOSERS}(?=\\s|$)")
_LAST_WORD = re.compile(r"(?<!\w)(?:\w\.\s?)*[\w’'-]*$")
_NEXT_WORD = re.compile(r"[\s\"'“„«‹(\[¿¡*_-]*(\w*)")
_NEXT_CHARACTER = re.compile(r"[\s\"'“„«‹(\[¿¡*_]*(.?)")
_WINDOW = 40


def sentence_spans(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence, in code points, without the space around it.

    Together the spans hold every character of `text` but space.
    """
    start = 0
    for match in _END.finditer(text):
        if match["tight"] or _ends_sentence(text, start, match):
            yield from _trimmed(text, start, match.end())
            start = match.end()
    yield from _trimmed(text, start, len(text))


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    end -= len(piece) - len(piece.rstrip())
    if start < end:
        yield start, end


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    after = text[match.end() : match.end() + _WINDOW]
    if not after.strip():
        return True
    following = _NEXT_CHARACTER.match(after)
    if following and following[1].islower():
        return False
    return match["loose"] != "." or _full_stop_ends(text[start : match.start()], after)


def _full_stop_ends(sentence: str, after: str) -> bool:
    found = _LAST_WORD.search(sentence[-_WINDOW:])
    word = found[0].strip() if found else ""
    next_word = found[1].lower() if (found := _NEXT_WORD.match(after)) else ""
    if word.isdigit() and len(word) <= 2:
        return not _is_ordinal(sentence[: -len(word)], next_word)
    key = plain(word)
    if key in BEFORE_NUMBER and next_word[:1].isdigit():
        return False
    if key in EITHER:
        return next_word in OPENERS
    if _is_initial(word):
        return next_word in OPENERS and not word.islower()
    return key not in INNER


def _is_initial(word: str) -> bool:
    last = word.rsplit(".", 1)[-1].strip()
    return len(last) == 1 and last.isalpha() and last.isascii()


def _is_ordinal(before: str, next_word: str) -> bool:
    previous = before.rsplit(maxsplit=1)[-1].lower() if before.split() else ""
    return not previous or previous in BEFORE_ORDINAL or next_word in MONTHS
