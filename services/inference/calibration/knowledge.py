"""Questions with their passages: SQuAD-half, VA.gov, FeedbackQA. Never the demo's."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gyre_inference.domain.passages import Passage, Sentence, one_line

ROOT = Path(__file__).parents[3]
DATA = ROOT.parent / "shared" / "data" / "dev"
_BREAK = re.compile(r"\n+|(?<=[.!?])[\"')”]?\s+(?=[\"'(“]?[A-ZÄÖÜ0-9])")


@dataclass(frozen=True)
class Asked:
    """A question. gold: chunk ids; answers: any of them must stand in the sentence (empty: any
    sentence of the gold chunks is right)."""

    question: str
    gold: frozenset[str]
    answers: tuple[str, ...] = ()

    def is_answered_by(self, sentence: Sentence) -> bool:
        line = sentence.line.lower()
        said = any(one_line(answer).lower() in line for answer in self.answers)
        return sentence.passage.chunk_id in self.gold and (said or not self.answers)


@dataclass(frozen=True)
class Collection:
    """Passages and what is asked of them."""

    name: str
    passages: tuple[Passage, ...]
    asked: tuple[Asked, ...]


def squad(count: int) -> Collection:
    """Wikipedia paragraphs; the questions that they answer."""
    rows = _lines(DATA / "qa_squad2_half" / "dev.jsonl.gz")
    ids = {text: f"squad-{n}" for n, text in enumerate(dict.fromkeys(r["context"] for r in rows))}
    titles = {row["context"]: row["title"] for row in rows}
    passages = (_passage(ids[text], titles[text], text, titles[text]) for text in ids)
    asked = [
        Asked(
            row["question"],
            frozenset({ids[row["context"]]}),
            tuple(answer["text"] for answer in row["answers"]),
        )
        for row in rows
        if not row["is_impossible"]
    ]
    return _collection("SQuAD", passages, asked, count)


def va_gov(count: int) -> Collection:
    """Public-service pages; the questions are headings, which the passages do not hold here."""
    rows = _lines(DATA / "kb_va_gov" / "sections.jsonl")
    passages = (_passage(row["_id"], row["title"], row["text"], row["doc_id"]) for row in rows)
    questions = _lines(DATA / "kb_va_gov" / "qa_from_headings.jsonl")
    asked = [Asked(q["question"], frozenset({q["section_id"]})) for q in questions]
    return _collection("VA.gov", passages, asked, count)


def feedback_qa(count: int) -> Collection:
    """Pages of the British and American governments; the questions are a crowd's."""
    rows = _lines(DATA / "fb_feedbackqa" / "corpus.jsonl.gz")
    passages = tuple(
        _passage(row["_id"], row["title"], _unwrapped(row["text"]), row["uri"], row["headers"])
        for row in rows
    )
    questions = _lines(DATA / "fb_feedbackqa" / "questions.jsonl")
    asked = [Asked(q["question"], frozenset({q["passage"]})) for q in questions]
    return _collection("FeedbackQA", passages, asked, count)


def _unwrapped(text: str) -> str:
    return re.sub(r"(?<=[a-z,;])\n(?=[a-z(])", " ", text)


def _collection(
    name: str, passages: Iterable[Passage], asked: Iterable[Asked], count: int
) -> Collection:
    """Only passages that say something, and `count` of the questions about them, by chance."""
    usable = tuple(passage for passage in passages if passage.spans)
    known = {passage.chunk_id for passage in usable}
    fit = [one for one in asked if one.gold <= known]
    random.Random(3).shuffle(fit)
    return Collection(name, usable, tuple(fit[:count]))


def _passage(
    chunk_id: str, title: str, text: str, page: str, headings: Sequence[str] = ()
) -> Passage:
    """page: what other passages stand on, too."""
    spans = tuple(_spans(text))
    path = tuple(headings)
    return Passage(chunk_id, chunk_id, 1, 0, text, spans, title, page, heading_path=path)


def _spans(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for end in (*(match.end() for match in _BREAK.finditer(text)), len(text)):
        piece = text[start:end]
        if piece.strip():
            yield start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
        start = end


def _lines(path: Path) -> list[dict[str, Any]]:
    packed = path.read_bytes()
    text = gzip.decompress(packed) if path.suffix == ".gz" else packed
    return [json.loads(line) for line in text.decode().split("\n") if line]
