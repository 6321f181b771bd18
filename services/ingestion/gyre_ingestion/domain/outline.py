"""Collects a document's blocks while it is read and keeps the headings above them."""

from collections.abc import Iterable
from dataclasses import replace

from gyre_ingestion.domain.normalise import clean, clean_line
from gyre_ingestion.domain.parsed import Block, BlockKind

_LONGEST_HEADING = 300


class Outline:
    """Blocks in reading order. Empty text adds nothing."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.page = 0
        self._headings: list[tuple[int, str]] = []

    def heading(self, level: int, text: str) -> None:
        """A heading; it closes those of its level and below. Level 1 is the outermost."""
        line = clean_line(text)
        if len(line) > _LONGEST_HEADING:
            return self.paragraph(text)
        if line:
            above = [known for known in self._headings if known[0] < level]
            self._headings = [*above, (level, line)]
            self._add(BlockKind.HEADING, line)
        return None

    def close_headings(self) -> None:
        """What follows stands under no heading."""
        self._headings = []

    def paragraph(self, text: str) -> None:
        """Running text; a blank line in it starts a new block."""
        for part in clean(text).split("\n\n"):
            self._add(BlockKind.PARAGRAPH, " ".join(part.split()))

    def item(self, text: str) -> None:
        """One list item."""
        self._add(BlockKind.LIST_ITEM, clean_line(text))

    def row(self, text: str) -> None:
        """One table row as it is read aloud."""
        self._add(BlockKind.TABLE_ROW, clean_line(text))

    def code(self, text: str) -> None:
        """Preformatted text, lines kept."""
        self._add(BlockKind.CODE, clean(text))

    def append(self, other: "Outline") -> None:
        """The other's blocks, below the headings that stand now."""
        above = tuple(heading for _, heading in self._headings)
        self.blocks += [
            replace(block, heading_path=(*above, *block.heading_path), page=self.page)
            for block in other.blocks
        ]

    def include(self, title: str, blocks: Iterable[Block]) -> None:
        """The blocks of a file inside this one, under a heading of their own."""
        self.heading(1, title)
        inner = Outline()
        inner.blocks = list(blocks)
        self.append(inner)

    def _add(self, kind: BlockKind, text: str) -> None:
        if text:
            path = tuple(heading for _, heading in self._headings)
            self.blocks.append(Block(kind, text, path, self.page))

    @property
    def first_heading(self) -> str:
        """The first heading's text, empty when there is none."""
        return next((b.text for b in self.blocks if b.kind is BlockKind.HEADING), "")
