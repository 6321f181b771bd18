"""Sentences of an answer, their citation marks, and their words."""

from __future__ import annotations

import re
import unicodedata

MARK = re.compile(r"\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")
_BREAK = re.compile(r"(?<=[.!?…])[\"')\]»”]*\s+(?=[\"'(\[«“]?[\w*\-•])|\n+|(?<=[。！？])")
_SHORT = re.compile(
    r"(?:\b(?:e\.g|i\.e|z\.\s?B|d\.\s?h|u\.\s?a|etc|bzw|ca|usw|vgl|Nr|No|Dr|Mr|Mrs|Ms|Prof|St|vs|fig)"
    r"|\b(?:Art|Abs)|\b[A-Z]|\b\d{1,2})\.$"
)
_MARK_AFTER = re.compile(r"([.!?])[ \t]*((?:\[\d{1,3}(?:\s*,\s*\d{1,3})*\][ \t]*)+)")
_BULLET = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+")
_WORD = re.compile(r"[^\W_]+(?:['’.,-][^\W_]+)*")
_ENGLISH = """
a an and are as at be been but by can do does for from had has have how i if in into is it its may
more most my no not of on or our so such than that the their them then there these they this to was
we were what when where which who will with would you your
"""
_GERMAN = """
aber als am an auch auf aus bei bin bis da das dass dem den der des die doch du ein eine einem einen
einer eines er es für haben hat ich ihr im in ist kann man mein mit nach nicht nur oder sein sich
sie sind so um und uns von vor was wenn werden wie wir wird zu zum zur
"""
_STOP = frozenset((_ENGLISH + _GERMAN).split())


def sentences(text: str) -> list[str]:
    """In order, marks of citations included; lines of a list are sentences of their own."""
    found: list[str] = []
    # "It is so. [1] Then ...": the mark belongs to what stands before it.
    for piece in _BREAK.split(_MARK_AFTER.sub(r" \2\1 ", text)):
        stripped = piece.strip()
        if found and _SHORT.search(found[-1]):
            found[-1] = f"{found[-1]} {stripped}"
        elif stripped:
            found.append(stripped)
    return [one for one in found if words(plain(one))]


def plain(sentence: str) -> str:
    """Without marks and bullets."""
    return re.sub(r"\s+([.,;:!?])", r"\1", MARK.sub("", _BULLET.sub("", sentence))).strip()


def marks(sentence: str) -> list[int]:
    """Numbers cited, in order, each once."""
    numbers = [int(number) for group in MARK.findall(sentence) for number in group.split(",")]
    return list(dict.fromkeys(numbers))


def words(text: str) -> list[str]:
    """Folded, punctuation aside."""
    folded = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    return _WORD.findall(folded)


def content_words(text: str) -> list[str]:
    """Without the words that say nothing by themselves."""
    return [word for word in words(text) if word not in _STOP]
