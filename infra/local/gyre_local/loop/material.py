"""What the loop is shown on: articles, questions to learn from, questions that are held back."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gyre_demo.questions import KNOWLEDGE_BASE, Question, read_asked_again, read_questions

_WORD = re.compile(r"\w+")
_HELD = 0.8
FEEDBACKQA_LEARN, FEEDBACKQA_HELD = 900, 300
GOOD = frozenset({"Acceptable", "Excellent"})


@dataclass(frozen=True)
class Gold:
    """Where the answer stands. sentence: empty where all of the document, `passage`, answers."""

    source: str
    sentence: str = ""
    passage: str = ""

    def is_in(self, source: str, text: str) -> bool:
        """True where `text` of the document `source` holds four in five words of the sentence."""
        return source.endswith(self.source) and holds(text, self.sentence)

    def is_said_by(self, text: str) -> bool:
        """True where the text holds the sentence, or stands in the passage."""
        return holds(text, self.sentence) if self.sentence else holds(self.passage, text)


@dataclass(frozen=True)
class Asked:
    """A question as somebody asks it. reference: a short right answer; may be empty."""

    question: str
    gold: tuple[Gold, ...]
    reference: str
    language: str

    def is_answered_by(self, source: str, text: str) -> bool:
        return any(one.is_in(source, text) for one in self.gold)

    def is_said_by(self, text: str) -> bool:
        """Whether a sentence answers it, wherever it comes from."""
        return any(one.is_said_by(text) for one in self.gold)


@dataclass(frozen=True)
class Rated:
    """What people said of passages, by document: each of them good or bad."""

    question: str
    verdicts: Mapping[str, Sequence[bool]]


@dataclass(frozen=True)
class Material:
    """learn: asked by the people who judge. held_back: asked by gates, of searches; answered: of
    them those that gates ask for answers, and that simulated users ask live. rated: what people
    really said of passages; it is learnt from, too."""

    name: str
    files: Sequence[tuple[Path, str]]
    learn: Sequence[Asked]
    held_back: Sequence[Asked]
    answered: Sequence[Asked]
    rated: Sequence[Rated] = ()


def holds(text: str, sentence: str) -> bool:
    """Whether four in five words of the sentence stand in the text."""
    wanted = words(sentence)
    return len(wanted & words(text)) >= _HELD * len(wanted)


def words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


def demo_material() -> Material:
    """The help centre: each of 50 published questions in four more wordings. Three of them are
    learnt from; the published one and the fourth are held back."""
    files = [(path, _name(path)) for path in sorted(KNOWLEDGE_BASE.rglob("*")) if path.is_file()]
    published = {one.id: one for one in read_questions() if one.answer is not None}
    learn: list[Asked] = []
    held_back = [_asked(one, one.question) for one in published.values()]
    answered = tuple(held_back)
    for again in read_asked_again():
        question = published[again.of]
        learn += [_asked(question, text) for text in again.asked]
        held_back.append(_asked(question, again.held_back))
    return Material("the demo's help centre", files, learn, held_back, answered)


def _name(path: Path) -> str:
    return path.relative_to(KNOWLEDGE_BASE).as_posix()


def _asked(question: Question, text: str) -> Asked:
    gold = tuple(Gold(one.article, one.sentence) for one in question.evidence)
    return Asked(text, gold, question.reference_answer, question.language)


def feedbackqa_material(folder: Path, work: Path) -> Material:
    """FeedbackQA, UK and CDC, below `folder`; each passage becomes a file in `work`. What its
    training split asked is learnt from, its validation split is held back."""
    found = folder if (folder / "corpus.jsonl.gz").exists() else folder / "dev" / "fb_feedbackqa"
    texts = dict(_passages(found))
    files = [_written(work / f"{name}.md", text) for name, text in texts.items()]
    asked = [json.loads(line) for line in (found / "questions.jsonl").read_text().splitlines()]
    parts = {
        split: _drawn([_crowd(row, texts) for row in asked if row["split"] == split], most)
        for split, most in (("train", FEEDBACKQA_LEARN), ("valid", FEEDBACKQA_HELD))
    }
    closed = {one.question.casefold().strip() for one in parts["valid"]}
    learn = [one for one in parts["train"] if one.question.casefold().strip() not in closed]
    rated = [one for one in _rated(found) if one.question.casefold().strip() not in closed]
    return Material("FeedbackQA", files, learn, parts["valid"], parts["valid"][:60], rated)


def _passages(found: Path) -> Iterator[tuple[str, str]]:
    with gzip.open(found / "corpus.jsonl.gz", "rt") as lines:
        for row in map(json.loads, lines):
            yield row["_id"], f"# {row['title']}\n\n{_headed(row)}{row['text']}\n"


def _written(path: Path, text: str) -> tuple[Path, str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path, path.name


def _rated(found: Path) -> Iterator[Rated]:
    """Two people's ratings of each passage that was shown for a question."""
    verdicts: dict[str, dict[str, list[bool]]] = defaultdict(dict)
    for row in map(json.loads, (found / "feedback.jsonl").read_text().splitlines()):
        said = [rating in GOOD for rating in row["ratings"]]
        verdicts[row["question"]][f"{row['passage']}.md"] = said
    for question, given in verdicts.items():
        yield Rated(question, given)


def _headed(row: Mapping[str, Any]) -> str:
    return "".join(f"## {one}\n\n" for one in row["headers"] if one and one != row["title"])


def _crowd(row: Mapping[str, str], texts: Mapping[str, str]) -> Asked:
    gold = Gold(f"{row['passage']}.md", passage=texts[row["passage"]])
    return Asked(row["question"], (gold,), "", "en")


def _drawn(rows: Iterable[Asked], most: int) -> list[Asked]:
    found = list({one.question.casefold().strip(): one for one in rows}.values())
    return random.Random(7).sample(found, min(most, len(found)))
