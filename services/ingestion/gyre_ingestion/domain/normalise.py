"""Makes text uniform without changing what it says."""

import re
import unicodedata

_NEWLINES = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028]")
_PARAGRAPHS = re.compile(r"\u2029")
_SPACES = re.compile(r"[^\S\n]+")
_AROUND_NEWLINE = re.compile(r" ?\n ?")
_BLANK_LINES = re.compile(r"\n{3,}")
# Soft hyphen, zero-width space, word joiner, byte order mark, bidi embeddings, object marks.
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff\ufffc\u202a-\u202e\u2066-\u2069\ufff9-\ufffb]")
# Joiners carry meaning in Persian, Indic scripts and emoji, but nowhere between Latin letters.
_STRAY_JOINER = re.compile("(?<![^\x00-\u024f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\u024f])")
_CONTROL = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
# Bounded and anchored: text without spaces must not cost its length squared.
_WORD = r"(?<![^\W\d_])[^\W\d_]{2,60}"
_BROKEN_WORD = re.compile(f"({_WORD})(?:-\n|\x02\n?|\u00ad\n)([^\\W\\d_]{{2,60}})")
_COMPOUND = re.compile(f"{_WORD}-[^\\W\\d_]{{2,60}}")


def clean(text: str) -> str:
    """NFC, one kind of newline and space, no control or invisible characters; lines are kept."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    text = _PARAGRAPHS.sub("\n\n", _NEWLINES.sub("\n", text))
    text = _CONTROL.sub("", _STRAY_JOINER.sub("", _INVISIBLE.sub("", text)))
    text = _AROUND_NEWLINE.sub("\n", _SPACES.sub(" ", unicodedata.normalize("NFC", text)))
    return _BLANK_LINES.sub("\n\n", text).strip()


def clean_line(text: str) -> str:
    """As `clean`, on one line."""
    return " ".join(clean(text).split())


def join_broken_words(text: str) -> str:
    """Undoes hyphenation at line ends where it is safe.

    The parts are joined only before a lower-case letter and only where the text does not write
    the word with its hyphen elsewhere; else the hyphen stays.
    """
    compounds = {word.lower() for word in _COMPOUND.findall(text)}

    def join(match: re.Match[str]) -> str:
        left, right = match.groups()
        keeps_hyphen = not right[0].islower() or f"{left}-{right}".lower() in compounds
        return f"{left}-{right}" if keeps_hyphen else left + right

    return _BROKEN_WORD.sub(join, text).replace("\x02", "-")
