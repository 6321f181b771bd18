"""Real questions from pages: headings with the text below them, and questions people often ask."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from gyre_retraining.recipes.reader.corpus import LONGEST_SENTENCE, rows
from gyre_retraining.recipes.reader.items import Item
from gyre_retraining.recipes.reader.text import clauses, one_line, sentences

_HEADING = re.compile(r"^#{1,6}\s+(?P<heading>.{12,120})$")
_ANSWERING = 3
_MOST_SENTENCES = 24


def read_pages(data: Path) -> Iterator[Item]:
    """Items from government and technical pages and from the FAQ pairs."""
    for name in ("lm_gov_publicdomain", "lm_technical"):
        for row in rows(data / "lm" / name / "train.jsonl.gz"):
            yield from heading_items(row["text"])
    yield from _faq_items(data)


def heading_items(text: str) -> Iterator[Item]:
    """Each heading of three words or more asks; the first sentences of its section answer."""
    sections = _sections(text[:60_000])
    for place, (heading, body) in enumerate(sections):
        others = [s for i, (_, other) in enumerate(sections) if i != place for s in other]
        if len(heading.split()) >= 3 and body and len(others) >= 2:
            pool = (*body[:_ANSWERING], *others[:_MOST_SENTENCES])
            yield Item("heading", heading, pool, frozenset(range(len(body[:_ANSWERING]))))


def _sections(text: str) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = [("", [])]
    for line in text.split("\n"):
        heading = _HEADING.match(line.strip())
        if heading:
            found.append((one_line(heading["heading"]).strip("*# "), []))
        else:
            found[-1][1].extend(
                c for s in sentences(line) for c in clauses(s, LONGEST_SENTENCE) if len(c) > 15
            )
    return found


def _faq_items(data: Path) -> Iterator[Item]:
    by_entity: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for row in rows(data / "dev" / "cs_dstc9_faq" / "faq.jsonl.gz"):
        key = (row["domain"], str(row["entity"]))
        by_entity[key].append((one_line(row["title"]), one_line(row["text"])))
    for pairs in by_entity.values():
        answers = tuple(dict.fromkeys(text for _, text in pairs if len(text) <= LONGEST_SENTENCE))
        for question, text in pairs:
            if text in answers:
                yield Item("faq", question, answers, frozenset({answers.index(text)}))
