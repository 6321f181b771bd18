"""Reads HTML into blocks (library: lxml)."""

import re
from collections.abc import Iterator

import lxml.html  # type: ignore[import-untyped]
from lxml.html import HtmlElement

from gyre_ingestion.adapters.parsing.boilerplate import content_of
from gyre_ingestion.adapters.parsing.reading import Reading
from gyre_ingestion.domain.normalise import clean_line
from gyre_ingestion.domain.outline import Outline
from gyre_ingestion.domain.tables import rows_as_text

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_INLINE = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "b",
        "bdi",
        "bdo",
        "big",
        "cite",
        "code",
        "data",
        "del",
        "dfn",
        "em",
        "font",
        "i",
        "img",
        "ins",
        "kbd",
        "label",
        "mark",
        "q",
        "rp",
        "rt",
        "ruby",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "time",
        "tt",
        "u",
        "var",
        "wbr",
        "math",
    ]
)
_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
_MOST_SPANNED = 100


def read_html(text: str, is_page: bool = True) -> Reading:
    """Blocks of a page without its boilerplate; of a fragment (`is_page` false) all blocks."""
    parser = lxml.html.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True
    )
    source = _DECLARATION.sub("", text).encode(errors="replace")
    reading = Reading()
    if not source.strip():
        return reading
    page = lxml.html.document_fromstring(source, parser=parser, ensure_head_body=True)
    title = clean_line(page.findtext(".//title") or "")
    _Walker(reading.outline).walk(content_of(page.body) if is_page else page.body)
    headings = [b.text for b in reading.outline.blocks if len(b.heading_path) == 1]
    first = reading.outline.first_heading
    reading.title = first if first and first in title and headings else title or first
    return reading


class _Walker:
    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self._inline: list[str] = []

    def walk(self, element: HtmlElement) -> None:
        """Adds the element's blocks; the text of inline elements flows together."""
        self._children(element)
        self._flush()

    def _children(self, element: HtmlElement) -> None:
        self._inline.append(element.text or "")
        for child in element:
            self._visit(child)
            self._inline.append(child.tail or "")

    def _visit(self, element: HtmlElement) -> None:
        tag = element.tag
        if tag == "br":
            self._inline.append("\n")
        elif tag in _INLINE and not any(e.tag not in _INLINE | {"br"} for e in element.iter()):
            self._inline.append(_text(element))
        elif tag in _INLINE:
            self._children(element)
        else:
            self._flush()
            self._block(element)
            self._flush()

    def _block(self, element: HtmlElement) -> None:
        tag = element.tag
        if tag in _HEADINGS:
            self._outline.heading(_HEADINGS[tag], _text(element))
        elif tag == "summary":
            self._outline.heading(6, _text(element))
        elif tag == "pre":
            self._outline.code("".join(element.itertext()))
        elif tag == "li" and not _holds(element, *_HEADINGS, "table", "pre"):
            self._item(element)
        elif tag == "table" and _is_data(element):
            self._table(element)
        elif tag == "dl":
            self._definitions(element)
        elif tag not in {"head", "title", "style", "script"}:
            self.walk(element)

    def _item(self, element: HtmlElement) -> None:
        nested = [e for e in element.iterdescendants("ul", "ol", "dl") if _is_nearest(e, element)]
        self._outline.item(_text(element, skipping=nested))
        for inner in nested:
            self._block(inner)

    def _definitions(self, element: HtmlElement) -> None:
        term = ""
        for part in element.iterdescendants("dt", "dd"):
            if part.tag == "dt":
                term = f"{term}, {_text(part)}" if term else _text(part)
            else:
                self._outline.item(f"{clean_line(term)}: {_text(part)}" if term else _text(part))
                term = ""
        self._outline.item(term)

    def _table(self, element: HtmlElement) -> None:
        for caption in element.iterchildren("caption"):
            self._outline.paragraph(_text(caption))
        for row in rows_as_text(_grid(element)):
            self._outline.row(row)

    def _flush(self) -> None:
        text, self._inline = "".join(self._inline), []
        self._outline.paragraph(re.sub(r"\n\s*\n", "\n\n", text) if "\n" in text else text)


def _text(element: HtmlElement, skipping: list[HtmlElement] | None = None) -> str:
    return "".join(_pieces(element, set(skipping or ())))


def _pieces(element: HtmlElement, skipping: set[HtmlElement]) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        if child not in skipping:
            separator = "" if child.tag in _INLINE else " "
            yield separator
            yield from _pieces(child, skipping)
            yield separator
        yield child.tail or ""


def _holds(element: HtmlElement, *tags: str) -> bool:
    return any(True for _ in element.iterdescendants(*tags))


def _is_nearest(nested: HtmlElement, item: HtmlElement) -> bool:
    between = (a for a in nested.iterancestors() if a.tag in {"ul", "ol", "dl", "li"})
    return next(between, None) is item


def _is_data(table: HtmlElement) -> bool:
    if table.get("role") == "presentation" or _holds(table, "table", *_HEADINGS, "pre"):
        return False
    rows = list(table.iterdescendants("tr"))
    return max((len(row.findall("td")) + len(row.findall("th")) for row in rows), default=0) > 1


def _grid(table: HtmlElement) -> list[list[str]]:
    """Rows of cells; a cell that spans rows is repeated, one that spans columns leaves blanks."""
    grid: list[list[str]] = []
    hanging: dict[int, tuple[int, str]] = {}
    for row in table.iterdescendants("tr"):
        cells: list[str] = []
        for cell in row.iterchildren("td", "th"):
            _drop_hanging(cells, hanging)
            text = clean_line(_text(cell))
            if (rows := _span(cell, "rowspan")) > 1:
                hanging[len(cells)] = (rows - 1, text)
            cells += [text, *[""] * (_span(cell, "colspan") - 1)]
        _drop_hanging(cells, hanging)
        grid.append(cells)
    return grid


def _drop_hanging(cells: list[str], hanging: dict[int, tuple[int, str]]) -> None:
    while (column := len(cells)) in hanging:
        left, text = hanging.pop(column)
        cells.append(text)
        if left > 1:
            hanging[column] = (left - 1, text)


def _span(cell: HtmlElement, name: str) -> int:
    value = (cell.get(name) or "1").strip()
    return min(int(value), _MOST_SPANNED) if value.isdecimal() and value != "0" else 1
