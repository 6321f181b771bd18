"""Reads XML of any vocabulary (library: lxml); entities are not resolved, nothing is fetched."""

from lxml import etree  # type: ignore[import-untyped]

from gyre_ingestion.adapters.parsing.archives import check_entities
from gyre_ingestion.adapters.parsing.html import read_html
from gyre_ingestion.adapters.parsing.reading import Reading
from gyre_ingestion.domain.parsed import Rejected, RejectionReason

_TITLES = {"title", "head", "heading", "label"}
_DEEPEST_LEVEL = 6


def read_xml(text: str) -> Reading:
    """Each element with text of its own is a paragraph; titles are headings."""
    source = text.encode(errors="replace")
    check_entities(source)
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, recover=True, load_dtd=False
    )
    root = etree.fromstring(source, parser)
    if root is None:
        raise Rejected(RejectionReason.CORRUPT, "The file is not the XML it seems to be.")
    reading = Reading()
    _visit(reading, root, 1)
    reading.title = reading.outline.first_heading
    return reading


def _visit(reading: Reading, element: etree._Element, level: int) -> None:
    if not isinstance(element.tag, str):
        return
    own = [element.text or "", *(child.tail or "" for child in element)]
    if not any(text.strip() for text in own):
        for child in element:
            _visit(reading, child, min(level + 1, _DEEPEST_LEVEL))
        return
    text = "".join(element.itertext()).strip()
    if etree.QName(element).localname.lower() in _TITLES:
        reading.outline.heading(level, text)
    elif "</" in text or "/>" in text:
        reading.outline.append(read_html(text, is_page=False).outline)
    else:
        reading.outline.paragraph(text)
