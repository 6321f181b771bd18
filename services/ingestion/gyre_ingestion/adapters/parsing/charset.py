"""Decodes text of unknown encoding (library: charset-normalizer)."""

import codecs
import re

import charset_normalizer
from charset_normalizer import CharsetMatch, CharsetMatches

from gyre_ingestion.adapters.parsing.alphabets import LETTERS, fit

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What people really send; the library's full list finds rarities in short texts.
_CANDIDATES = [
    "utf_16_le",
    "utf_16_be",
    "utf_32_le",
    "utf_32_be",
    "cp1252",
    "cp1250",
    "cp1251",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "cp1257",
    "cp1258",
    "latin_1",
    "iso8859_2",
    "iso8859_3",
    "iso8859_4",
    "iso8859_5",
    "iso8859_6",
    "iso8859_7",
    "iso8859_8",
    "iso8859_9",
    "iso8859_10",
    "iso8859_13",
    "iso8859_15",
    "koi8_r",
    "koi8_u",
    "cp866",
    "cp850",
    "cp852",
    "cp437",
    "cp500",
    "cp037",
    "cp874",
    "tis_620",
    "mac_roman",
    "mac_cyrillic",
    "mac_greek",
    "mac_turkish",
    "mac_latin2",
    "big5",
    "big5hkscs",
    "gb2312",
    "gbk",
    "gb18030",
    "shift_jis",
    "cp932",
    "euc_jp",
    "iso2022_jp",
    "iso2022_kr",
    "euc_kr",
    "cp949",
    "johab",
    "hz",
]
_WESTERN = frozenset(
    "äöüßÄÖÜéèêëàâáçîïíìôóòõûúùñãåæøœÿÉÈÊÀÂÁÇÎÍÔÓÕÚÑÃÅÆØŒ¿¡«»“”„‚‘’–—…€£¥¢°§©®™·•ªº²³½¼¾×±µ´¶ \xa0"
)
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?([A-Za-z0-9_.:-]+)""")
_SHORT = 600
_SAMPLE = 20_000
_GOOD_FIT = 0.9


def decode(content: bytes, declared: str = "") -> str | None:
    """The text, without a byte order mark; None when these bytes are no text.

    `declared` is the encoding that the document names; it is believed when the bytes allow it.
    """
    if not content:
        return ""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    if b"\x1b$" not in content and b"\0" not in content and (text := _tried(content, "utf-8")):
        return text
    if declared and b"\0" not in content and (text := _tried(content, declared)):
        return text
    return _guessed(content)


def declared_charset(head: bytes) -> str:
    """The encoding that an HTML or XML head names, empty when it names none."""
    found = _DECLARED.search(head[:4096])
    return found[1].decode("ascii") if found else ""


def _tried(content: bytes, encoding: str) -> str | None:
    # A browser reads these names as cp1252, and so do we: pages that say latin-1 hold curly quotes.
    name = (
        "cp1252" if encoding.lower() in {"iso-8859-1", "latin-1", "ascii", "us-ascii"} else encoding
    )
    try:
        return content.decode(name)
    except (UnicodeDecodeError, LookupError):
        return None


def _guessed(content: bytes) -> str | None:
    if b"\0" not in content and len(content) < _SHORT and (text := _western(content)):
        return text
    matches = charset_normalizer.from_bytes(content, cp_isolation=_CANDIDATES)
    best = matches.best()
    return None if best is None else str(_by_alphabet(matches, best))


def _by_alphabet(matches: CharsetMatches, best: CharsetMatch) -> CharsetMatch:
    """Statistics do not tell `õ` from `ő`: the language's own letters do."""
    clearest = max(matches, key=lambda match: match.coherence)
    language = clearest.languages[0] if clearest.languages else ""
    if language not in LETTERS or (best.coherence and best.languages[0] not in LETTERS):
        return best
    fits = [(fit(str(match)[:_SAMPLE], language), -match.chaos) for match in matches]
    fittest = max(range(len(fits)), key=lambda place: fits[place])
    return matches[fittest] if fits[fittest][0] > _GOOD_FIT else best


def _western(content: bytes) -> str | None:
    """Mostly ASCII with letters and signs of Western Europe: too short for statistics."""
    high = sum(byte >= 0x80 for byte in content)
    if high > len(content) * 0.4 or any(byte < 9 or 13 < byte < 32 for byte in content):
        return None
    for encoding in ("cp1252", "mac_roman"):
        text = _tried(content, encoding)
        if text and all(char in _WESTERN for char in text if ord(char) >= 0x80):
            return text
    return None
