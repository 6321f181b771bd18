"""The text of an article as a reader sees it, without the marks of its format."""

import re
from functools import cache
from pathlib import Path

from kreuzberg import ExtractionConfig, extract_file_sync


@cache
def text_of(path: Path) -> str:
    """Markdown is read as it stands: its list marks and codes like *100# must survive."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    return extract_file_sync(str(path), config=ExtractionConfig(output_format="markdown")).content


def bare(text: str) -> str:
    """Without emphasis, table bars and list marks; any run of white space is one space."""
    without_lists = re.sub(r"^\s*[-•]\s", " ", text, flags=re.MULTILINE)
    return " ".join(re.sub(r"[*`\\#_]", "", without_lists).replace("|", " ").split())
