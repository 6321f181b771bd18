"""Real text to measure with: VA.gov's pages where the data is at hand, else the demo's articles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from gyre_demo.questions import KNOWLEDGE_BASE
from tokenizers import Tokenizer

from tests.load.report import ROOT

PAGES = ROOT.parent / "shared" / "data" / "dev" / "kb_va_gov" / "docs.jsonl"
MODEL = ROOT / "var" / "models" / "all-minilm-l6-v2"


class Counter:
    """Counts the embedding model's tokens, special ones left out."""

    def __init__(self, model: Path = MODEL) -> None:
        self._tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def __call__(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def pieces(self, text: str, size: int) -> Iterator[str]:
        """The text in pieces of `size` tokens, cut between words."""
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        for start in range(0, len(encoded.ids), size):
            spans = encoded.offsets[start : start + size]
            yield text[spans[0][0] : spans[-1][1]]


def documents(tokens: int) -> dict[str, str]:
    """Name -> Markdown, until there are about so many tokens; no two alike."""
    count, found, seen, total = Counter(), {}, set[str](), 0
    for name, text in _all():
        if total >= tokens:
            break
        if text not in seen and len(text) > 500:
            seen.add(text)
            found[name] = text
            total += count(text)
    return found


def passages(count: int, size: int) -> list[str]:
    """So many pieces of `size` tokens, of different documents in turn; fewer where text ends."""
    cut = Counter()
    found = [piece for _, text in _all() for piece in cut.pieces(text, size)]
    return list(dict.fromkeys(one for one in found if len(one) > size))[:count]


def _all() -> Iterator[tuple[str, str]]:
    if PAGES.exists():
        for line in filter(None, PAGES.read_text().split("\n")):
            page = json.loads(line)
            yield f"{page['doc_id']}.md", f"# {page['title']}\n\n{page['text']}\n"
        return
    for path in sorted(KNOWLEDGE_BASE.rglob("*.md")):
        yield path.relative_to(KNOWLEDGE_BASE).as_posix(), path.read_text()
