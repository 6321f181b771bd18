"""Reads text without markup, subtitles, and light markup that Markdown can stand for."""

import re
from itertools import groupby

from gyre_ingestion.adapters.parsing.markdown import read_markdown
from gyre_ingestion.adapters.parsing.reading import Reading
from gyre_ingestion.domain.lines import is_bullet, paragraphs, without_mark
from gyre_ingestion.domain.normalise import clean, join_broken_words

_CUE_TIME = re.compile(r"^(?:\d+:)?\d\d:\d\d[.,]\d{3} --> ")
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s+([^<>]+)>")
_TAG = re.compile(r"<[^<>]*>")
_ASCIIDOC_HEADING = re.compile(r"^(={1,6}) (?=\S)", re.MULTILINE)
_ASCIIDOC_LINE = re.compile(
    r"^(?:\[[^\]\n]*\]|:[\w-]+:.*|\|={3,}|={4,}|-{4,}|\.{4,})$", re.MULTILINE
)


def read_plain(text: str) -> Reading:
    """Paragraphs and list items, wrapped lines joined."""
    reading = Reading()
    for paragraph in paragraphs(join_broken_words(clean(text)).split("\n")):
        if is_bullet(paragraph):
            reading.outline.item(without_mark(paragraph))
        else:
            reading.outline.paragraph(paragraph)
    return reading


def read_subtitles(text: str) -> Reading:
    """What was said, one paragraph for each turn."""
    reading = Reading()
    cues = (_cue(part) for part in re.split(r"\n\s*\n", text.replace("\r\n", "\n"))[1:])
    for voice, turn in groupby(filter(None, cues), lambda cue: cue[0]):
        said = " ".join(words for _, words in turn)
        reading.outline.paragraph(f"{voice}: {said}" if voice else said)
    return reading


def _cue(part: str) -> tuple[str, str] | None:
    lines = part.strip().split("\n")
    start = next((n for n, line in enumerate(lines) if _CUE_TIME.match(line)), None)
    if start is None:
        return None
    words = " ".join(lines[start + 1 :])
    voice = _VOICE.search(words)
    return (voice[1] if voice else "", _TAG.sub("", words).strip())


def read_asciidoc(text: str) -> Reading:
    """Headings, lists and paragraphs; directives are left out."""
    body = _ASCIIDOC_LINE.sub("", text)
    return read_markdown(_ASCIIDOC_HEADING.sub(lambda m: "#" * len(m[1]) + " ", body))
