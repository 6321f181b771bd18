"""What stays of an answer and of a judgement whose person is to be forgotten: ids and numbers."""

from __future__ import annotations

from dataclasses import replace

from gyre_feedback.domain.answers import AnswerCame, JudgedAnswer
from gyre_feedback.domain.judgements import Judgement
from gyre_feedback.domain.metrics import Category, Failure


def wordless(judgement: Judgement) -> Judgement:
    """Without words and without who said it; a number, a thumb or a category stays."""
    value = judgement.value
    if isinstance(value, Failure):
        value = Failure("")
    elif isinstance(value, str) and not isinstance(value, Category):
        value = ""
    source = replace(judgement.source, rater="")
    return replace(judgement, value=value, source=source, rationale="", metadata={})


def nobodys(answer: JudgedAnswer) -> JudgedAnswer:
    """Without whom it was given to."""
    return replace(answer, end_user="", segment="")


def textless(came: AnswerCame) -> AnswerCame:
    return AnswerCame(nobodys(came.answer), "", "")


def nameless_account(principal: str, mark: str) -> str:
    """mark: a salted hash of the person, who stays one account."""
    return f"{principal}/~{mark[:16]}"
