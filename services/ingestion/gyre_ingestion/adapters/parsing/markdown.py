"""Reads Markdown with YAML front matter (libraries: markdown-it-py, PyYAML)."""

import re

import yaml
from markdown_it import MarkdownIt

from gyre_ingestion.adapters.parsing.html import read_html
from gyre_ingestion.adapters.parsing.reading import Reading
from gyre_ingestion.domain.normalise import clean_line

_FRONT_MATTER = re.compile(
    r"\A---[ \t]*\r?\n(.*?)^(?:---|\.\.\.)[ \t]*$\r?\n?", re.DOTALL | re.MULTILINE
)
_TITLE_KEYS = ("title", "name", "subject")
_MOST_KEYS, _LONGEST_VALUE = 32, 500
_COMMONMARK = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def read_markdown(text: str) -> Reading:
    """Blocks of the body; title and metadata from the front matter."""
    matter, body = _split(text)
    html = _COMMONMARK.render(body)
    reading = read_html(html, is_page=False)
    reading.metadata = {key: value for key, value in matter.items() if key not in _TITLE_KEYS}
    named = next((matter[key] for key in _TITLE_KEYS if key in matter), "")
    reading.title = named or reading.title
    if not reading.outline.blocks:
        for key, value in matter.items():
            reading.outline.row(f"{key}: {value}")
    return reading


def _split(text: str) -> tuple[dict[str, str], str]:
    found = _FRONT_MATTER.match(text)
    if found is None:
        return {}, text
    try:
        matter = yaml.safe_load(found[1])
    except (yaml.YAMLError, ValueError):
        return {}, text[found.end() :]
    pairs = matter.items() if isinstance(matter, dict) else ()
    flat = ((str(key), _flat(value)) for key, value in pairs)
    return {key: value for key, value in flat if value}, text[found.end() :]


def _flat(value: object) -> str:
    if isinstance(value, list):
        return clean_line(", ".join(filter(None, map(_flat, value))))[:_LONGEST_VALUE]
    if value is None or isinstance(value, dict):
        return ""
    return clean_line(str(value))[:_LONGEST_VALUE]
