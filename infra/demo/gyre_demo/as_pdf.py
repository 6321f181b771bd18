"""A source as a PDF; the same bytes each time, because reportlab is told to be invariant."""

from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.platypus import (
    Flowable,
    ListFlowable,
    PageBreak,
    SimpleDocTemplate,
    Spacer,
    Table,
)
from reportlab.platypus import Paragraph as Text

from gyre_demo.source import Block, Break, Grid, Heading, Items, Note, Paragraph, Source, Spans

_SIZES = {"Heading1": (22, 28), "Heading2": (16, 22), "BodyText": (11, 15)}  # points: font, line
_STYLES = getSampleStyleSheet()
for _name, (_font, _line) in _SIZES.items():
    _STYLES[_name].fontSize, _STYLES[_name].leading = _font, _line
    _STYLES[_name].spaceAfter = 6
_WIDTH = A4[0] - 50 * mm
_RULES = [
    ("GRID", (0, 0), (-1, -1), 0.4, colors.grey),
    ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
]


class _Pages(SimpleDocTemplate):  # type: ignore[misc]
    """The footer is drawn after the text: extractors take what comes first for the title."""

    def afterPage(self) -> None:  # noqa: N802 (reportlab's hook)
        self.canv.setFont("Helvetica", 8)
        self.canv.drawString(25 * mm, 12 * mm, f"{self.title} - {self.page}")


def write_pdf(source: Source, path: Path) -> None:
    pages = _Pages(
        str(path),
        pagesize=A4,
        leftMargin=25 * mm,
        rightMargin=25 * mm,
        title=source.title,
        author="Larkmoor Telecom",
        lang=source.language,
        invariant=1,
    )
    pages.build([flowable for block in source.blocks for flowable in _flowables(block)])


def _flowables(block: Block) -> Iterator[Flowable]:
    match block:
        case Heading(level, text):
            yield Text(escape(text), _STYLES[f"Heading{level}"])
        case Paragraph(spans):
            yield _text(spans)
        case Items(ordered, entries):
            kind = "1" if ordered else "bullet"
            yield ListFlowable([_text(entry) for entry in entries], bulletType=kind)
        case Grid(rows):
            yield _table(rows)
            yield Spacer(0, 4 * mm)
        case Break():
            yield PageBreak()
        case Note():
            raise ValueError("a PDF has no speaker's notes; write a paragraph")


def _table(rows: tuple[tuple[Spans, ...], ...]) -> Table:
    longest = [max(len(_markup(cell)) for cell in column) for column in zip(*rows, strict=True)]
    weights = [min(max(length, 14), 60) for length in longest]
    widths = [_WIDTH * weight / sum(weights) for weight in weights]
    cells = [[_text(cell) for cell in row] for row in rows]
    return Table(cells, colWidths=widths, repeatRows=1, style=_RULES)


def _text(spans: Spans) -> Text:
    return Text(_markup(spans), _STYLES["BodyText"])


def _markup(spans: Spans) -> str:
    return "".join(
        f"<b>{escape(span.text)}</b>" if span.bold else escape(span.text) for span in spans
    )
