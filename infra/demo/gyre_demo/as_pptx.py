"""A source as slides: each second-level heading begins one."""

from pathlib import Path

from pptx import Presentation
from pptx.presentation import Presentation as Slides
from pptx.slide import Slide
from pptx.util import Cm, Pt

from gyre_demo.archive import fix_times, stamp
from gyre_demo.source import Block, Grid, Heading, Items, Note, Paragraph, Source, Spans, plain

_TITLE, _CONTENT, _TITLE_ONLY = 0, 1, 5  # layouts of the default template


def write_pptx(source: Source, path: Path) -> None:
    presentation = Presentation()
    for heading, blocks in _slides(source):
        slide = _add_slide(presentation, heading, blocks)
        for block in blocks:
            _fill(slide, block)
    stamp(presentation.core_properties, source)
    presentation.save(str(path))
    fix_times(path)


def _slides(source: Source) -> list[tuple[Heading, list[Block]]]:
    slides: list[tuple[Heading, list[Block]]] = []
    for block in source.blocks:
        if isinstance(block, Heading):
            slides.append((block, []))
        elif not slides:
            raise ValueError(f"{source.output}: begin with a heading, it is the first slide")
        else:
            slides[-1][1].append(block)
    return slides


def _add_slide(presentation: Slides, heading: Heading, blocks: list[Block]) -> Slide:
    has_table = any(isinstance(block, Grid) for block in blocks)
    layout = _TITLE if heading.level == 1 else _TITLE_ONLY if has_table else _CONTENT
    slide: Slide = presentation.slides.add_slide(presentation.slide_layouts[layout])
    if slide.shapes.title is not None:
        slide.shapes.title.text = heading.text
    return slide


def _fill(slide: Slide, block: Block) -> None:
    match block:
        case Paragraph(spans):
            _write_body(slide, [plain(spans)])
        case Items(ordered, entries):
            numbers = [f"{n}. " if ordered else "" for n in range(1, len(entries) + 1)]
            lines = [number + plain(entry) for number, entry in zip(numbers, entries, strict=True)]
            _write_body(slide, lines)
        case Grid(rows):
            _add_table(slide, rows)
        case Note(text):
            _write_notes(slide, text)
        case _:
            raise ValueError(f"a slide cannot show {type(block).__name__}")


def _write_body(slide: Slide, lines: list[str]) -> None:
    frame = slide.placeholders[1].text_frame
    frame.text = "\n".join(lines)
    for paragraph in frame.paragraphs:
        paragraph.font.size = Pt(22)


def _write_notes(slide: Slide, text: str) -> None:
    frame = slide.notes_slide.notes_text_frame
    if frame is None:
        raise ValueError("the template has no place for speaker's notes")
    frame.text = text


def _add_table(slide: Slide, rows: tuple[tuple[Spans, ...], ...]) -> None:
    size = (Cm(1.5), Cm(5), Cm(22), Cm(1.2 * len(rows)))
    table = slide.shapes.add_table(len(rows), len(rows[0]), *size).table
    for row, cells in enumerate(rows):
        for column, spans in enumerate(cells):
            table.cell(row, column).text = plain(spans)
