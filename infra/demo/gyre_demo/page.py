"""The questions as a page for people."""

from collections.abc import Iterable

from gyre_demo.questions import Evidence, Question

_KINDS = {
    "sentence": "one sentence answers it",
    "table_row": "a row of a table answers it",
    "several": "two articles together answer it",
    "other_language": "the answer is in another language than the question",
    "not_covered": "a plausible question that nothing answers",
    "off_topic": "nothing to do with the company",
}


def questions_page(questions: Iterable[Question]) -> str:
    kinds = [f"- `{kind}`: {meaning}" for kind, meaning in _KINDS.items()]
    entries = [_entry(question) for question in questions]
    return "\n".join([_HEAD, *kinds, "", *entries])


_HEAD = """# Questions to the demo knowledge base

Made from `questions.jsonl` by `python write_questions_page.py`; change the questions there.
Those marked *demo* are asked by the demo. Kinds of question:
"""


def _entry(question: Question) -> str:
    mark = ", *demo*" if question.demo else ""
    lines = [f"## {question.id}: {question.question}", ""]
    lines += [f"`{question.kind}`, {question.language}{mark}", ""]
    if question.answer is None:
        lines.append(f"Nothing answers it. {question.reference_answer}")
    else:
        lines += [f"Answer: {question.reference_answer}", "", _source("said in", question.answer)]
        lines += [_source("needed too", one) for one in question.also_needed]
        lines += [_source("also said in", one) for one in question.also_answered_in]
    return "\n".join([*lines, ""])


def _source(label: str, evidence: Evidence) -> str:
    link = f"[{evidence.article}](knowledge_base/{evidence.article})"
    return f"- {label} {link}, *{evidence.heading}*: `{evidence.sentence}`"
