"""Every question can be answered from where it says, or from nowhere."""

from collections import Counter
from pathlib import Path

import pytest
from gyre_demo.page import questions_page
from gyre_demo.questions import (
    KNOWLEDGE_BASE,
    Evidence,
    Question,
    read_asked_again,
    read_questions,
)

from .extraction import bare, text_of

QUESTIONS = read_questions()
EVIDENCE = [
    pytest.param(evidence, id=f"{question.id}-{number}")
    for question in QUESTIONS
    for number, evidence in enumerate(question.evidence)
]
DEMO = [question for question in QUESTIONS if question.demo]


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_the_sentence_stands_in_its_article_under_its_heading(evidence: Evidence) -> None:
    text = bare(text_of(KNOWLEDGE_BASE / evidence.article))
    section = text[text.index(bare(evidence.heading)) :]
    assert bare(evidence.sentence) in section


def test_there_are_sixty_questions_with_their_own_ids() -> None:
    assert len({question.id for question in QUESTIONS}) == len(QUESTIONS) == 60


def test_no_question_is_asked_twice() -> None:
    assert len({question.question.casefold() for question in QUESTIONS}) == 60


def test_a_sixth_of_the_questions_has_no_answer() -> None:
    unanswered = [question for question in QUESTIONS if question.answer is None]
    assert len(unanswered) == 10
    assert {question.kind for question in unanswered} == {"not_covered", "off_topic"}


def test_eleven_questions_are_german() -> None:
    assert Counter(question.language for question in QUESTIONS) == {"en": 49, "de": 11}


def test_each_kind_of_difficulty_occurs() -> None:
    kinds = Counter(question.kind for question in QUESTIONS)
    assert kinds["table_row"] >= 8
    assert kinds["several"] >= 3
    assert kinds["other_language"] >= 1


def test_only_questions_over_several_articles_need_more_than_one_sentence() -> None:
    assert all((question.kind == "several") == bool(question.also_needed) for question in QUESTIONS)


def test_every_format_answers_some_question() -> None:
    suffixes = {Path(question.answer.article).suffix for question in QUESTIONS if question.answer}
    assert suffixes == {".md", ".html", ".pdf", ".docx", ".pptx"}


def test_the_demo_asks_five_questions_one_german_and_one_without_an_answer() -> None:
    assert len(DEMO) == 5
    assert sum(question.language == "de" for question in DEMO) == 1
    assert sum(question.answer is None for question in DEMO) == 1


def test_questions_do_not_copy_the_heading_that_answers_them() -> None:
    def copies(question: Question) -> bool:
        return question.answer is not None and (
            bare(question.answer.heading).casefold() in question.question.casefold()
        )

    assert not [question.id for question in QUESTIONS if copies(question)]


def test_the_readable_page_says_what_the_questions_say() -> None:
    page = KNOWLEDGE_BASE.parent / "QUESTIONS.md"
    assert page.read_text(encoding="utf-8") == questions_page(QUESTIONS)


def test_every_answerable_question_is_asked_again_in_four_other_words() -> None:
    again = read_asked_again()
    assert [one.of for one in again] == [one.id for one in QUESTIONS if one.answer is not None]
    assert {len(one.asked) for one in again} == {3}
    texts = [one.question for one in QUESTIONS]
    texts += [text for one in again for text in (*one.asked, one.held_back)]
    assert len({text.casefold() for text in texts}) == len(texts)
