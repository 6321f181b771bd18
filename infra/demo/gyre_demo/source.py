"""A Markdown source read into the few kinds of block that every document format can show."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path, PurePosixPath

import yaml
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode


@dataclass(frozen=True)
class Span:
    text: str
    bold: bool = False


Spans = tuple[Span, ...]


@dataclass(frozen=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    spans: Spans


@dataclass(frozen=True)
class Items:
    ordered: bool
    entries: tuple[Spans, ...]


@dataclass(frozen=True)
class Grid:
    rows: tuple[tuple[Spans, ...], ...]


@dataclass(frozen=True)
class Note:
    """What a speaker says to a slide."""

    text: str


@dataclass(frozen=True)
class Break:
    """A new page begins."""


Block = Heading | Paragraph | Items | Grid | Note | Break


@dataclass(frozen=True)
class Source:
    """`output` is relative to the knowledge base; `updated` is midnight UTC."""

    output: PurePosixPath
    title: str
    language: str
    updated: datetime
    blocks: tuple[Block, ...]


def read_source(path: Path) -> Source:
    """Raises ValueError where the front matter is missing or a block has no counterpart."""
    opening, _, rest = path.read_text(encoding="utf-8").partition("---\n")
    if opening:
        raise ValueError(f"{path.name}: begin the file with a front matter between --- lines")
    front, _, body = rest.partition("\n---\n")
    fields = yaml.safe_load(front)
    tree = SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(body))
    return Source(
        output=PurePosixPath(fields["output"]),
        title=fields["title"],
        language=fields["language"],
        updated=datetime.combine(fields["updated"], time(), UTC),
        blocks=tuple(_block(node) for node in tree.children),
    )


def plain(spans: Spans) -> str:
    return "".join(span.text for span in spans)


def _block(node: SyntaxTreeNode) -> Block:
    match node.type:
        case "heading":
            return Heading(int(node.tag[1:]), plain(_spans(node)))
        case "paragraph":
            return Paragraph(_spans(node))
        case "bullet_list" | "ordered_list":
            entries = tuple(_spans(item) for item in node.children)
            return Items(node.type == "ordered_list", entries)
        case "table":
            return Grid(tuple(_cells(row) for part in node.children for row in part.children))
        case "blockquote":
            return Note(plain(_spans(node)).removeprefix("Speaker's note: "))
        case "hr":
            return Break()
    raise ValueError(f"a source cannot contain {node.type}; use headings, text, lists and tables")


def _cells(row: SyntaxTreeNode) -> tuple[Spans, ...]:
    return tuple(_spans(cell) for cell in row.children)


def _spans(node: SyntaxTreeNode) -> Spans:
    return tuple(_leaves(node, bold=False))


def _leaves(node: SyntaxTreeNode, bold: bool) -> Iterator[Span]:
    if node.type in {"text", "code_inline"}:
        yield Span(node.content, bold)
    elif node.type == "softbreak":
        yield Span(" ", bold)
    for child in node.children:
        yield from _leaves(child, bold or node.type == "strong")
