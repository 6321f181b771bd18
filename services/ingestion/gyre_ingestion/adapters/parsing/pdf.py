"""Reads PDF page by page (library: kreuzberg over pdfium)."""

import re
from collections.abc import Iterator, Sequence

import kreuzberg

from gyre_ingestion.adapters.parsing.detect import PDF
from gyre_ingestion.adapters.parsing.kreuzberg_reader import OPTIONS, extract, title_of
from gyre_ingestion.adapters.parsing.reading import Reading
from gyre_ingestion.domain.limits import Limits
from gyre_ingestion.domain.lines import is_bullet, paragraphs, without_mark
from gyre_ingestion.domain.normalise import clean, clean_line, join_broken_words
from gyre_ingestion.domain.outline import Outline
from gyre_ingestion.domain.parsed import Rejected, RejectionReason

_PAGES = kreuzberg.ExtractionConfig(**OPTIONS, pages=kreuzberg.PageConfig(extract_pages=True))
_STRUCTURE = kreuzberg.ExtractionConfig(
    **OPTIONS, include_document_structure=True, output_format="markdown"
)
# Finding headings by the size of type costs four times as much as reading the text.
_MOST_PAGES_WITH_HEADINGS = 200
_COUNT = re.compile(rb"/Count\s+(\d{1,9})")
_HYPHEN_BREAK = re.compile("\x02[ \t]*\r?\n?")
_MOST_HEADING_WORDS = 14
_SENTENCE_LIKE = re.compile(r"[.,;:–-]$|^\W*$|https?://|@|\s[\d.,]+%?$")
_NUMBERED = re.compile(r"^(?:chapter|section|part|step|appendix|table|figure|kapitel|teil)\b", re.I)


def read_pdf(content: bytes, limits: Limits) -> Reading:
    """Paragraphs with their pages; headings are in larger type and read as such."""
    _check_promised_pages(content, limits)
    result = extract(content, PDF, _PAGES)
    pages = result.pages or []
    _check_pages(len(pages), limits)
    headings = _headings(content) if len(pages) <= _MOST_PAGES_WITH_HEADINGS else {}
    reading = Reading(page_count=len(pages), title=title_of(result))
    for page in pages:
        reading.outline.page = page["page_number"]
        _page(reading.outline, page["content"], headings)
    reading.title = reading.title or reading.outline.first_heading
    return reading


def _check_promised_pages(content: bytes, limits: Limits) -> None:
    """A page tree that promises too much is not walked."""
    _check_pages(max((int(count) for count in _COUNT.findall(content)), default=0), limits)


def _check_pages(count: int, limits: Limits) -> None:
    if count > limits.pages:
        raise Rejected(
            RejectionReason.LIMIT_EXCEEDED, f"The file has more than {limits.pages:,} pages."
        )


def _headings(content: bytes) -> dict[str, int]:
    """Level of each plausible heading by its text."""
    result = extract(content, PDF, _STRUCTURE)
    nodes = result.document["nodes"] if result.document else []
    contents = (node["content"] for node in nodes)
    found = ((clean_line(c["text"]), c["level"]) for c in contents if c["node_type"] == "heading")
    plausible = {text: level for text, level in found if _reads_as_heading(text)}
    levels = sorted(set(plausible.values()))
    return {text: levels.index(level) + 1 for text, level in plausible.items()}


def _reads_as_heading(text: str) -> bool:
    words = text.split()
    opens = text[:1].isupper() or text[:1].isdigit() or not text[:1].isascii()
    letters = sum(char.isalpha() for char in text)
    return (
        opens
        and len(words) <= _MOST_HEADING_WORDS
        and letters * 2 > len(text)
        and (_NUMBERED.match(text) is not None or not _SENTENCE_LIKE.search(text))
    )


def _page(outline: Outline, text: str, headings: dict[str, int]) -> None:
    lines = clean(_HYPHEN_BREAK.sub("-\n", text)).split("\n")
    for level, block in _blocks(lines, headings):
        joined = join_broken_words(block)
        if level:
            outline.heading(level, joined)
        elif is_bullet(joined):
            outline.item(without_mark(joined))
        else:
            outline.paragraph(joined)


def _blocks(lines: Sequence[str], headings: dict[str, int]) -> Iterator[tuple[int, str]]:
    """(heading's level or 0, text) in order; a heading may run over three lines."""
    place, gathered = 0, list[str]()
    while place < len(lines):
        for size in (3, 2, 1):
            text = " ".join(lines[place : place + size])
            if text in headings:
                yield from ((0, paragraph) for paragraph in paragraphs(gathered))
                yield headings[text], text
                gathered = []
                place += size
                break
        else:
            gathered.append(lines[place])
            place += 1
    yield from ((0, paragraph) for paragraph in paragraphs(gathered))
