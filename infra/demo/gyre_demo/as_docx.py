"""A source as a Word document."""

from pathlib import Path

from docx import Document
from docx.document import Document as Word
from docx.enum.text import WD_BREAK
from docx.text.paragraph import Paragraph as WordParagraph

from gyre_demo.archive import fix_times, stamp
from gyre_demo.source import Block, Break, Grid, Heading, Items, Note, Paragraph, Source, Spans


def write_docx(source: Source, path: Path) -> None:
    # Word numbers all "List Number" paragraphs of a document as one list.
    if sum(isinstance(block, Items) and block.ordered for block in source.blocks) > 1:
        raise ValueError(f"{source.output}: only one numbered list fits into a Word document")
    document = Document()
    for block in source.blocks:
        _add(document, block)
    stamp(document.core_properties, source)
    document.save(str(path))
    fix_times(path)


def _add(document: Word, block: Block) -> None:
    match block:
        case Heading(level, text):
            document.add_heading(text, level)
        case Paragraph(spans):
            _write(document.add_paragraph(), spans)
        case Items(ordered, entries):
            style = "List Number" if ordered else "List Bullet"
            for entry in entries:
                _write(document.add_paragraph(style=style), entry)
        case Grid(rows):
            _add_table(document, rows)
        case Break():
            document.add_paragraph().add_run().add_break(WD_BREAK.PAGE)
        case Note():
            raise ValueError("a Word document has no speaker's notes; write a paragraph")


def _add_table(document: Word, rows: tuple[tuple[Spans, ...], ...]) -> None:
    table = document.add_table(len(rows), len(rows[0]), style="Light Grid Accent 1")
    for row, cells in zip(table.rows, rows, strict=True):
        for cell, spans in zip(row.cells, cells, strict=True):
            _write(cell.paragraphs[0], spans)


def _write(paragraph: WordParagraph, spans: Spans) -> None:
    for span in spans:
        paragraph.add_run(span.text).bold = span.bold
