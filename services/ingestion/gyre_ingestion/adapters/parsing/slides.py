"""Reads PowerPoint, slide by slide (library: python-pptx)."""

import io
from collections.abc import Iterable, Iterator

import pptx
from pptx.shapes.base import BaseShape
from pptx.shapes.group import GroupShape
from pptx.slide import Slide
from pptx.text.text import TextFrame

from gyre_ingestion.adapters.parsing.reading import Reading
from gyre_ingestion.domain.normalise import clean_line
from gyre_ingestion.domain.outline import Outline
from gyre_ingestion.domain.tables import rows_as_text


def read_slides(content: bytes) -> Reading:
    """A slide's title is a heading, its paragraphs are list items; notes follow."""
    presentation = pptx.Presentation(io.BytesIO(content))
    reading = Reading(title=clean_line(presentation.core_properties.title or ""))
    for number, slide in enumerate(presentation.slides, start=1):
        reading.outline.page = number
        _slide(reading.outline, slide)
    reading.page_count = reading.outline.page
    first = reading.outline.first_heading
    is_default = reading.title in {"", "PowerPoint Presentation", "Presentation"}
    reading.title = first if is_default and first else reading.title
    return reading


def _slide(outline: Outline, slide: Slide) -> None:
    title = slide.shapes.title
    if title is not None:
        outline.heading(1, title.text_frame.text.replace("\v", " "))
    else:
        outline.close_headings()
    for shape in _flattened(slide.shapes):
        if title is None or shape.shape_id != title.shape_id:
            _shape(outline, shape)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        outline.paragraph(slide.notes_slide.notes_text_frame.text)


def _flattened(shapes: Iterable[BaseShape]) -> Iterator[BaseShape]:
    for shape in shapes:
        if isinstance(shape, GroupShape):
            yield from _flattened(shape.shapes)
        else:
            yield shape


def _shape(outline: Outline, shape: BaseShape) -> None:
    if getattr(shape, "has_table", False):
        rows = [[clean_line(cell.text) for cell in row.cells] for row in shape.table.rows]  # type: ignore[attr-defined]
        for row in rows_as_text(rows):
            outline.row(row)
    elif shape.has_text_frame:
        _text(outline, shape.text_frame)  # type: ignore[attr-defined]


def _text(outline: Outline, frame: TextFrame) -> None:
    paragraphs = [p.text.replace("\v", " ") for p in frame.paragraphs if p.text.strip()]
    for text in paragraphs:
        if len(paragraphs) > 1:
            outline.item(text)
        else:
            outline.paragraph(text)
