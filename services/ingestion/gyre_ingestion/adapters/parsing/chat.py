"""Reads chat logs and other JSON (standard library)."""

import json
from collections.abc import Iterator
from typing import Any

from gyre_ingestion.adapters.parsing.markdown import read_markdown
from gyre_ingestion.adapters.parsing.reading import Reading
from gyre_ingestion.domain.outline import Outline
from gyre_ingestion.domain.parsed import Rejected, RejectionReason

_SPEAKERS = ("speaker", "role", "from", "author", "sender", "user", "name")
_TEXTS = ("content", "text", "message", "body", "utterance", "value")
_TURNS = ("messages", "conversation", "conversations", "turns", "dialogue", "dialog", "log")
_THREADS = (
    "conversation_id",
    "thread_id",
    "chat_id",
    "session_id",
    "ticket_id",
    "title",
    "subject",
)
_DEEPEST = 20


def read_jsonl(text: str) -> Reading:
    """One record a line: a message, a conversation, or any object."""
    lines = [line for line in text.splitlines() if line.strip()]
    return _read([_loaded(line) for line in lines])


def read_json(text: str) -> Reading:
    """A list of records, or one."""
    value = _loaded(text)
    return _read(value if isinstance(value, list) else [value])


def read_notebook(text: str) -> Reading:
    """The notebook's Markdown and code, in order; outputs are left out."""
    reading = Reading()
    for cell in _loaded(text).get("cells", []):
        source = "".join(cell.get("source", []))
        if cell.get("cell_type") == "code":
            reading.outline.code(source)
        elif cell.get("cell_type") == "markdown":
            reading.outline.append(read_markdown(source).outline)
    reading.title = reading.outline.first_heading
    return reading


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as problem:
        raise Rejected(
            RejectionReason.CORRUPT, "The file is not the JSON it seems to be."
        ) from problem


def _read(records: list[Any]) -> Reading:
    reading = Reading()
    thread = ""
    for record in records:
        named = _first(record, _THREADS) if isinstance(record, dict) else ""
        if named and named != thread:
            reading.outline.heading(1, named)
            thread = named
        _record(reading.outline, record)
    return reading


def _record(outline: Outline, record: Any) -> None:
    turns = next((record[key] for key in _TURNS if _is_turns(record, key)), None)
    for item in [record] if turns is None else turns:
        said = _first(item, _TEXTS) if isinstance(item, dict) else ""
        if said and (speaker := _first(item, _SPEAKERS)):
            outline.paragraph(f"{speaker}: {said}")
        else:
            outline.row("; ".join(_pairs(item, "", 0)))


def _is_turns(record: Any, key: str) -> bool:
    return isinstance(record, dict) and isinstance(record.get(key), list) and bool(record[key])


def _first(record: dict[str, Any], keys: tuple[str, ...]) -> str:
    return next((text for key in keys if (text := _words(record.get(key)))), "")


def _words(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(
            _words(part.get("text")) for part in value if isinstance(part, dict)
        ).strip()
    return value.strip() if isinstance(value, str) else ""


def _pairs(value: Any, path: str, depth: int) -> Iterator[str]:
    """`a.b: value` for every leaf."""
    if isinstance(value, (dict, list)) and depth < _DEEPEST:
        entries = value.items() if isinstance(value, dict) else ((None, item) for item in value)
        for key, item in entries:
            yield from _pairs(item, ".".join(filter(None, [path, key])), depth + 1)
    elif value not in (None, ""):
        yield f"{path}: {value}" if path else str(value)
