"""What was found in a file: blocks of clean text in reading order, or why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property


class RejectionReason(StrEnum):
    """Why a document is not indexed; the names are those of `gyre.ingestion.v1.RejectionReason`."""

    UNSUPPORTED_FORMAT = "unsupported_format"
    CORRUPT = "corrupt"
    ENCRYPTED = "encrypted"
    NO_TEXT = "no_text"
    LIMIT_EXCEEDED = "limit_exceeded"
    DUPLICATE = "duplicate"
    UNSAFE = "unsafe"
    NOT_EMBEDDED = "not_embedded"
    NOT_PROCESSED = "not_processed"


class Rejected(Exception):
    """A document that cannot be indexed. `detail` is one sentence for people, without content."""

    def __init__(self, reason: RejectionReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class BlockKind(StrEnum):
    """What a block is on the page."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST_ITEM = "list_item"
    TABLE_ROW = "table_row"
    CODE = "code"


@dataclass(frozen=True)
class Block:
    """One paragraph, heading, list item or table row, already normalised and never empty.

    `heading_path` names the headings above it, outermost first; a heading's own path ends with
    itself. `page` is counted from 1, or 0 where the format has no pages.
    """

    kind: BlockKind
    text: str
    heading_path: tuple[str, ...] = ()
    page: int = 0


@dataclass(frozen=True)
class ParsedDocument:
    """A document as text. `language` is an ISO 639-1 code, empty when it could not be told."""

    blocks: tuple[Block, ...]
    media_type: str
    title: str = ""
    language: str = ""
    page_count: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def text(self) -> str:
        """The normalised text that all offsets count in: blocks joined by newlines."""
        return "".join(
            separator + block.text
            for separator, block in zip(self._separators, self.blocks, strict=True)
        )

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """First code point of each block in `text`."""
        position, starts = 0, []
        for separator, block in zip(self._separators, self.blocks, strict=True):
            starts.append(position + len(separator))
            position += len(separator) + len(block.text)
        return tuple(starts)

    @cached_property
    def _separators(self) -> tuple[str, ...]:
        kinds = [block.kind for block in self.blocks]
        return ("",) * bool(kinds) + tuple(map(_separator, kinds, kinds[1:]))


_RUNS = {BlockKind.LIST_ITEM, BlockKind.TABLE_ROW}


def _separator(before: BlockKind, after: BlockKind) -> str:
    return "\n" if before == after and after in _RUNS else "\n\n"
