"""The questions to the knowledge base, each with what answers it or with nothing."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent.parent
KNOWLEDGE_BASE = HERE / "knowledge_base"
QUESTIONS_FILE = HERE / "questions.jsonl"
ASKED_AGAIN_FILE = HERE / "asked_again.jsonl"


@dataclass(frozen=True)
class Evidence:
    """`article` is relative to the knowledge base; `sentence` may be a table row `| a | b |`."""

    article: str
    heading: str
    sentence: str


@dataclass(frozen=True)
class Question:
    """`answer` is None where nothing in the knowledge base answers the question.

    `also_needed` completes the answer; `also_answered_in` would do instead of it.
    """

    id: str
    language: str
    question: str
    kind: str
    demo: bool
    reference_answer: str
    answer: Evidence | None
    also_needed: tuple[Evidence, ...]
    also_answered_in: tuple[Evidence, ...]

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        first = () if self.answer is None else (self.answer,)
        return first + self.also_needed + self.also_answered_in


def read_questions(path: Path = QUESTIONS_FILE) -> list[Question]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [_question(json.loads(line)) for line in lines]


def _question(fields: dict[str, Any]) -> Question:
    return Question(
        id=fields["id"],
        language=fields["language"],
        question=fields["question"],
        kind=fields["kind"],
        demo=fields["demo"],
        reference_answer=fields["reference_answer"],
        answer=_answer(fields) if fields["answerable"] else None,
        also_needed=tuple(Evidence(**one) for one in fields["also_needed"]),
        also_answered_in=tuple(Evidence(**one) for one in fields["also_answered_in"]),
    )


def _answer(fields: dict[str, Any]) -> Evidence:
    return Evidence(fields["article"], fields["heading"], fields["answer_sentence"])


@dataclass(frozen=True)
class AskedAgain:
    """A question in other words. of: the published question; held_back: not to be learnt from."""

    of: str
    asked: tuple[str, ...]
    held_back: str


def read_asked_again(path: Path = ASKED_AGAIN_FILE) -> list[AskedAgain]:
    """What the loop asks besides the published questions; the answers are the same."""
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [AskedAgain(one["of"], tuple(one["asked"]), one["held_back"]) for one in lines]
