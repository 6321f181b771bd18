"""The evaluation sets, which are never trained on, and the guard that keeps them out."""

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gyre_retraining.recipes.reader.corpus import LONGEST_SENTENCE, rows
from gyre_retraining.recipes.reader.items import Item
from gyre_retraining.recipes.reader.text import clauses, one_line, sentences

_SHINGLE = 8


class Overlap:
    """Finds runs of eight words that an evaluation set also holds."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._seen = {shingle for text in texts for shingle in _shingles(text)}

    def touches(self, text: str) -> bool:
        """Whether the text shares eight words in a row with the evaluation sets."""
        return any(shingle in self._seen for shingle in _shingles(text))


def _shingles(text: str) -> Iterator[str]:
    words = re.findall(r"\w+", text.lower())
    return (" ".join(words[i : i + _SHINGLE]) for i in range(len(words) - _SHINGLE + 1))


def evaluation_texts(data: Path) -> Iterator[str]:
    """Every passage of the evaluation sets."""
    for row in rows(data / "dev" / "qa_squad2_half" / "dev.jsonl.gz"):
        yield row["context"]
    for row in rows(data / "dev" / "kb_va_gov" / "sections.jsonl"):
        yield row["text"]
    for row in rows(data / "dev" / "fb_feedbackqa" / "corpus.jsonl.gz"):
        yield row["text"]


def _parts(text: str) -> list[str]:
    return [c for s in sentences(text) for c in clauses(s, LONGEST_SENTENCE) if len(c) > 3]


def squad_items(data: Path, count: int, seed: int) -> list[Item]:
    """Answerable questions over the gold paragraph and two others of the same article."""
    found = list(rows(data / "dev" / "qa_squad2_half" / "dev.jsonl.gz"))
    articles: dict[str, list[str]] = defaultdict(list)
    for row in found:
        if row["context"] not in articles[row["title"]]:
            articles[row["title"]].append(row["context"])
    chance = random.Random(seed)
    answerable = [row for row in found if not row["is_impossible"]]
    chance.shuffle(answerable)
    items = (_squad_item(row, articles[row["title"]], chance) for row in answerable)
    return [item for item in items if item.answers][:count]


def _squad_item(row: dict[str, Any], article: list[str], chance: random.Random) -> Item:
    others = [context for context in article if context != row["context"]]
    pool = _parts(row["context"])
    gold = len(pool)
    pool += [
        part for context in chance.sample(others, min(2, len(others))) for part in _parts(context)
    ]
    spans = {answer["text"].lower() for answer in row["answers"]}
    answers = frozenset(i for i, p in enumerate(pool[:gold]) if any(s in p.lower() for s in spans))
    return Item("squad", one_line(row["question"]), tuple(pool), answers)


def off_topic_items(data: Path, count: int, seed: int) -> list[Item]:
    """The same questions over another article: nothing answers."""
    items = squad_items(data, count, seed)
    shifted = items[count // 2 :] + items[: count // 2]
    pairs = zip(items, shifted, strict=True)
    return [Item("off_topic", ours.question, other.sentences, frozenset()) for ours, other in pairs]


def va_items(data: Path, count: int, seed: int) -> list[Item]:
    """Question headings of VA.gov: the right section of three of the same page."""
    folder = data / "dev" / "kb_va_gov"
    sections = {row["_id"]: _parts(row["text"])[:14] for row in rows(folder / "sections.jsonl")}
    asked = [
        (row["question"], row["section_id"]) for row in rows(folder / "qa_from_headings.jsonl")
    ]
    return _section_items("va_gov", asked, sections, lambda key: key.split("#")[0], count, seed)


def feedback_items(data: Path, count: int, seed: int) -> list[Item]:
    """FeedbackQA: the right passage of three of the same page."""
    folder = data / "dev" / "fb_feedbackqa"
    passages = list(rows(folder / "corpus.jsonl.gz"))
    sections = {row["_id"]: _parts(_unwrapped(row["text"]))[:14] for row in passages}
    pages = {row["_id"]: row["uri"] for row in passages}
    asked = [(row["question"], row["passage"]) for row in rows(folder / "questions.jsonl")]
    return _section_items("feedback_qa", asked, sections, pages.__getitem__, count, seed)


def _unwrapped(text: str) -> str:
    return re.sub(r"(?<=[a-z,;])\n(?=[a-z(])", " ", text)


def _section_items(
    source: str,
    asked: list[tuple[str, str]],
    sections: dict[str, list[str]],
    page_of: Any,
    count: int,
    seed: int,
) -> list[Item]:
    pages: dict[str, list[str]] = defaultdict(list)
    for key, parts in sections.items():
        if parts:
            pages[page_of(key)].append(key)
    chance = random.Random(seed)
    chance.shuffle(asked)
    items: list[Item] = []
    for question, key in asked:
        siblings = (
            [other for other in pages[page_of(key)] if other != key] if sections.get(key) else []
        )
        if len(siblings) >= 2 and len(items) < count:
            others = [part for other in chance.sample(siblings, 2) for part in sections[other]]
            gold = sections[key]
            pool = (*gold, *others)
            items.append(Item(source, one_line(question), pool, frozenset(range(len(gold)))))
    return items
