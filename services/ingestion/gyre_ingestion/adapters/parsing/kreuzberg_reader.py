"""Reads what kreuzberg reads best: Word, spreadsheets, OpenDocument, RTF, EPUB, old Office, MSG."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import kreuzberg

from gyre_ingestion.adapters.parsing.detect import ODS, XLS, XLSX
from gyre_ingestion.adapters.parsing.reading import Reading
from gyre_ingestion.domain.normalise import clean_line
from gyre_ingestion.domain.outline import Outline
from gyre_ingestion.domain.parsed import Rejected, RejectionReason
from gyre_ingestion.domain.tables import rows_as_text

# The library's stubs lack some of these.
OPTIONS: dict[str, Any] = {
    "use_cache": False,
    "disable_ocr": True,
    "enable_quality_processing": False,
    "concurrency": kreuzberg.ConcurrencyConfig(max_threads=1),
}
_CONFIG = kreuzberg.ExtractionConfig(**OPTIONS, include_document_structure=True)
_RUNNING_TEXT = {"paragraph", "footnote", "formula", "quote"}
_RUNNING_HEADS = {"header", "footer"}
_PLACEHOLDERS = {"untitled", "untitled document", "document", "(anonymous)", "(unspecified)"}
_SPREADSHEETS = {XLSX, XLS, ODS}
_TITLE_LEVEL = 1
_LONGEST_MARKED = 2_000
_EMPHASIS = re.compile(r"(\*{1,3}|~~|__)(\S(?:.*?\S)?)\1")
_INLINE_TAG = re.compile(r"</?(?:u|sub|sup)>")


def read_with_kreuzberg(content: bytes, media_type: str) -> Reading:
    """The file's blocks by its structure."""
    result = extract(content, media_type, _CONFIG)
    reading = Reading(title=title_of(result))
    nodes: Sequence[Any] = result.document["nodes"] if result.document else []
    for node in nodes:
        if node.get("content_layer") not in _RUNNING_HEADS:
            _add(reading.outline, node["content"])
    if not nodes:
        reading.outline.paragraph(result.content)
    if media_type not in _SPREADSHEETS:
        reading.title = reading.title or reading.outline.first_heading
    return reading


def title_of(result: kreuzberg.ExtractionResult) -> str:
    """The title that the file's properties give, empty where a program filled in its own."""
    title = clean_line(str(result.metadata.get("title") or ""))
    return "" if title.lower() in _PLACEHOLDERS else title


def extract(
    content: bytes, media_type: str, config: kreuzberg.ExtractionConfig
) -> kreuzberg.ExtractionResult:
    """The library's result; its errors become `Rejected` with the reason they name."""
    try:
        return kreuzberg.extract_bytes_sync(content, media_type, config)
    except kreuzberg.ValidationError as problem:
        raise Rejected(
            RejectionReason.UNSUPPORTED_FORMAT, f"Files of type {media_type} cannot be read."
        ) from problem
    except kreuzberg.KreuzbergError as problem:
        raise _verdict(str(problem).lower()) from problem


def _verdict(problem: str) -> Rejected:
    if "password" in problem or "encrypted" in problem:
        return Rejected(
            RejectionReason.ENCRYPTED,
            "The file is encrypted: save it without a password and retry.",
        )
    if "limit" in problem or "too large" in problem or "bomb" in problem:
        return Rejected(RejectionReason.LIMIT_EXCEEDED, "The file is larger inside than allowed.")
    return Rejected(
        RejectionReason.CORRUPT, "The file is damaged or is not what its format promises."
    )


def _add(outline: Outline, content: dict[str, Any]) -> None:
    kind, text = content.get("node_type"), content.get("text") or ""
    if kind == "title":
        outline.heading(_TITLE_LEVEL, text)
    elif kind == "heading":
        outline.heading(content.get("level") or _TITLE_LEVEL, text)
    elif kind == "list_item":
        outline.item(text)
    elif kind == "table":
        for row in rows_as_text(_grid(content["grid"])):
            outline.row(row)
    elif kind == "code":
        outline.code(text)
    elif kind in _RUNNING_TEXT:
        outline.paragraph(text)
    elif kind == "metadata_block":
        outline.row("; ".join(_entries(content.get("entries") or ())))


def _entries(entries: Iterable[Any]) -> Iterable[str]:
    pairs = (entry.values() if isinstance(entry, dict) else entry for entry in entries)
    return (": ".join(map(str, pair)) for pair in pairs)


def _grid(grid: dict[str, Any]) -> list[list[str]]:
    rows = [[""] * grid["cols"] for _ in range(grid["rows"])]
    for cell in grid["cells"]:
        rows[cell["row"]][cell["col"]] = _unmarked(clean_line(cell["content"]))
    return rows


def _unmarked(text: str) -> str:
    """The library writes a cell's emphasis as Markdown."""
    if len(text) > _LONGEST_MARKED:
        return text
    return _EMPHASIS.sub(r"\2", _INLINE_TAG.sub("", text))
