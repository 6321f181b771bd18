"""Real questions from `lm_qa_mix`: spans in passages, facts, and sentences judged one by one."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gyre_retraining.recipes.reader.corpus import LONGEST_SENTENCE, rows
from gyre_retraining.recipes.reader.items import Item
from gyre_retraining.recipes.reader.text import clauses, content_stems, one_line, sentences

_SPAN_TEMPLATES = {
    r"adversarial_qa_.*_based_on": r"Question: (?P<q>.*?)\nContext: (?P<c>.*)$",
    r"adversarial_qa_.*_question_context_answer": r'Question: "(?P<q>.*?)"\s+Context: "(?P<c>.*)"',
    r"adversarial_qa_.*_answer_the_following_q": (
        r'Given the following passage\s+"(?P<c>.*)",\s+answer the following question'
        r".*?Question: (?P<q>.*?)\n?$"
    ),
    r"adversarial_qa_.*_tell_what_it_is": (
        r'answer to the question "(?P<q>.*?)" is in "(?P<c>.*)"\. Can you'
    ),
    r"quoref_Answer_Question_Given_Context": (
        r"context:\s+(?P<c>.*)\s+answer the following question:\s+(?P<q>.*)$"
    ),
    r"quoref_Find_Answer": r"for the question: (?P<q>.*?) , can you please find it\?\s+(?P<c>.*)$",
    r"quoref_Given_Context_Answer_Question": (
        r"^(?P<q>.*?)\s+Answer the above question based on the context below:\s+(?P<c>.*)$"
    ),
    r"quoref_What_Is_The_Answer": (
        r"answer for the question: (?P<q>.*?) from the following article \?\s+(?P<c>.*)$"
    ),
    r"duorc_.*_answer_question": r"Question: (?P<q>.*?)\nMovie title: .*?\nMovie plot: (?P<c>.*)$",
    r"duorc_.*_extract_answer": (
        r"question: *\n? *(?P<q>[^\n]*?)\nTitle: .*?\nMovie plot: (?P<c>.*)$"
    ),
}
_PAIR = re.compile(r"(?:Sentence|Fact): (?P<s>.*?)\s*\nQuestion: (?P<q>.*)$", re.S)


def read_qa_mix(data: Path) -> Iterator[Item]:
    """Items of all three kinds; facts come with one sentence and need distractors."""
    judged: dict[str, dict[str, bool]] = defaultdict(dict)
    seen: set[tuple[str, str]] = set()
    for row in rows(data / "lm" / "lm_qa_mix" / "train.jsonl.gz"):
        item = _span_item(row) or _fact_item(row)
        if item and (item.question, item.sentences[0]) not in seen:
            seen.add((item.question, item.sentences[0]))
            yield item
        _judge(row, judged)
    yield from _judged_items(judged)


def _span_item(row: dict[str, Any]) -> Item | None:
    for template, pattern in _SPAN_TEMPLATES.items():
        if re.fullmatch(template, row.get("template") or ""):
            found = re.search(pattern, row["prompt"].strip(), re.S)
            span = row["completion"].replace("<|endoftext|>", "").strip()
            return _spanned(found["q"], found["c"], span) if found and len(span) > 1 else None
    return None


def _spanned(question: str, passage: str, span: str) -> Item | None:
    parts = [c for s in sentences(passage) for c in clauses(s, LONGEST_SENTENCE)]
    hits = [i for i, part in enumerate(parts) if span.lower() in part.lower()]
    asked = set(content_stems(question))
    most = max((len(asked & set(content_stems(parts[i]))) for i in hits), default=0)
    best = {i for i in hits if len(asked & set(content_stems(parts[i]))) == most}
    if not best or len(hits) > 3:
        return None
    # Other sentences with the span are neither right nor wrong: they are left out.
    kept = [i for i in range(len(parts)) if i in best or i not in hits]
    answers = frozenset(new for new, old in enumerate(kept) if old in best)
    return Item("span", one_line(question), tuple(parts[i] for i in kept), answers)


def _fact_item(row: dict[str, Any]) -> Item | None:
    found = _PAIR.search(row["prompt"]) if "qasc" in row["src"] else None
    if not found or len(found["s"]) > LONGEST_SENTENCE:
        return None
    return Item("fact", one_line(found["q"]), (one_line(found["s"]),), frozenset({0}))


def _judge(row: dict[str, Any], judged: dict[str, dict[str, bool]]) -> None:
    task = row["src"]
    found = _PAIR.search(row["prompt"]) if "subtask05" in task else None
    if found and len(found["s"]) <= LONGEST_SENTENCE:
        sentence = re.sub(r"([.!?])\.$", r"\1", one_line(found["s"]))
        answers = "subtask051" in task or row["completion"].strip().lower().startswith("yes")
        held = judged[one_line(found["q"])]
        held[sentence] = answers or held.get(sentence, False)


def _judged_items(judged: dict[str, dict[str, bool]]) -> Iterator[Item]:
    for question, verdicts in judged.items():
        answers = frozenset(i for i, right in enumerate(verdicts.values()) if right)
        if answers:
            yield Item("judged", question, tuple(verdicts), answers)
