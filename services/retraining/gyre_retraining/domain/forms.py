"""Rows of each form out of the evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gyre_retraining.domain.assembly import DEMONSTRATIONS, PAIRS, PREFERENCES, TEXTS, THUMBS
from gyre_retraining.domain.evidence import Correction, Evidence, slices_of, sources_of
from gyre_retraining.domain.lexical import LexicalIndex
from gyre_retraining.domain.opinions import Opinion
from gyre_retraining.domain.rows import Row, in_order
from gyre_retraining.domain.similarity import key, overlap, shingles
from gyre_retraining.domain.sources import RecordedAnswer

MORE = 8
"""Passages looked at beyond those that are needed: some say what a right one says."""


def rows_of(evidence: Evidence) -> list[Row]:
    """Of the form that the settings name, oldest first."""
    return in_order(list(_FORMS[evidence.settings.form](evidence)))


def _demonstrations(evidence: Evidence) -> Iterator[Row]:
    """Corrections, and answers that people call good and nobody corrected."""
    corrected = {one.answer_id for one in evidence.corrections}
    for one in evidence.corrections:
        answer = evidence.answers[one.answer_id]
        if _is_whole(answer):
            content = {"messages": _messages(answer), "completion": one.text}
            yield _corrected(evidence, answer, one, content, (one.text,))
    for answer, thought in _judged(evidence):
        good = thought.goodness >= evidence.settings.good
        if good and answer.answer_id not in corrected:
            content = {"messages": _messages(answer), "completion": answer.completion}
            yield _thought(evidence, answer, thought, content, (answer.completion,))


def _preferences(evidence: Evidence) -> Iterator[Row]:
    """A correction before its answer; the better before the worse answer of one question."""
    for one in evidence.corrections:
        answer = evidence.answers[one.answer_id]
        if _is_whole(answer) and key(one.text) != key(answer.completion):
            content = _choice(answer, one.text, answer.completion)
            yield _corrected(evidence, answer, one, content, (one.text,))
    by_question: dict[str, list[tuple[RecordedAnswer, Opinion]]] = defaultdict(list)
    for answer, thought in _judged(evidence):
        by_question[key(answer.question)].append((answer, thought))
    for judged in by_question.values():
        yield from _better_and_worse(evidence, judged)


def _better_and_worse(
    evidence: Evidence, judged: Sequence[tuple[RecordedAnswer, Opinion]]
) -> Iterator[Row]:
    ranked = sorted(judged, key=lambda one: (-one[1].goodness, one[0].answer_id))
    (best, liked), (worst, disliked) = ranked[0], ranked[-1]
    far = liked.goodness - disliked.goodness >= evidence.settings.margin
    if far and key(best.completion) != key(worst.completion):
        content = _choice(best, best.completion, worst.completion)
        row = _thought(evidence, best, liked, content, (best.completion,))
        yield _joined(row, worst, disliked)


def _thumbs(evidence: Evidence) -> Iterator[Row]:
    """Answers that people call good, or bad."""
    settings = evidence.settings
    for answer, thought in _judged(evidence):
        if settings.bad < thought.goodness < settings.good:
            continue
        content = {
            "messages": _messages(answer),
            "completion": answer.completion,
            "label": thought.goodness >= settings.good,
        }
        yield _thought(evidence, answer, thought, content, (answer.completion,))


def _texts(evidence: Evidence) -> Iterator[Row]:
    """Passages of each document's newest revision."""
    names = evidence.settings.slices
    for name, chunk in sorted(evidence.current_chunks.items()):
        known = {"language": chunk.language, "collection": chunk.collection}
        yield Row(
            form=TEXTS,
            question="",
            content={"text": chunk.text},
            taught=(chunk.text,),
            sources=(("chunk", name), ("document", chunk.document_id)),
            language=chunk.language,
            slices={one: known.get(one, "") for one in names},
            subjects={"chunk": name, "document": chunk.document_id},
        )


def _pairs(evidence: Evidence) -> Iterator[Row]:
    """A question with each passage that people call good for it, and wrong ones: those that people
    call bad, then the nearest by words that nobody judged."""
    first = _first_answers(evidence)
    index = LexicalIndex({name: one.text for name, one in evidence.current_chunks.items()})
    thought_of: dict[str, dict[str, Opinion]] = defaultdict(dict)
    for (question, chunk_id), thought in evidence.of_passages.items():
        thought_of[question][chunk_id] = thought
    for question, passages in sorted(thought_of.items()):
        answer = first[question]
        for chunk_id, thought in sorted(passages.items()):
            text = evidence.text_of(chunk_id, answer)
            if thought.goodness >= evidence.settings.good and text:
                yield _pair(evidence, index, answer, chunk_id, passages)


def _pair(
    evidence: Evidence,
    index: LexicalIndex,
    answer: RecordedAnswer,
    chunk_id: str,
    passages: Mapping[str, Opinion],
) -> Row:
    thought, positive = passages[chunk_id], evidence.text_of(chunk_id, answer)
    wrong = _wrong(evidence, index, answer, passages)
    content = {
        "query": answer.question,
        "positive": positive,
        "negatives": [evidence.text_of(name, answer) for name in wrong],
    }
    sources, accounts = {("answer", answer.answer_id), *thought.sources}, set(thought.accounts)
    if answer.end_user:
        sources.add(("user", answer.end_user))
    for name in (chunk_id, *wrong):
        sources.add(("chunk", name))
        if name in evidence.chunks:
            sources.add(("document", evidence.chunks[name].document_id))
        if name in passages:
            sources.update(passages[name].sources)
            accounts.update(passages[name].accounts)
    return Row(
        form=PAIRS,
        question=answer.question,
        content=content,
        taught=(positive,),
        sources=tuple(sorted(sources)),
        language=answer.language,
        slices=slices_of(answer, evidence.settings.slices),
        accounts=tuple(sorted(accounts)),
        subjects=_subjects(answer) | {"chunk": chunk_id},
        metric=thought.metric,
        time=thought.time,
    )


def _wrong(
    evidence: Evidence,
    index: LexicalIndex,
    answer: RecordedAnswer,
    passages: Mapping[str, Opinion],
) -> list[str]:
    """None says nearly what a passage says that people do not call bad: the same text may stand in
    several documents."""
    settings = evidence.settings
    judged = sorted(passages.items(), key=lambda one: (one[1].goodness, one[0]))
    bad = [name for name, thought in judged if thought.goodness <= settings.bad]
    right = [shingles(evidence.text_of(name, answer)) for name in passages if name not in bad]
    near = index.nearest(answer.question, settings.negatives + len(passages) + MORE)
    found: list[str] = []
    for name in (*bad, *(one for one in near if one not in passages)):
        text = evidence.text_of(name, answer)
        said = shingles(text)
        if text and all(overlap(one, said) < settings.near for one in right):
            found.append(name)
    return found[: settings.negatives]


def _first_answers(evidence: Evidence) -> dict[str, RecordedAnswer]:
    """Of each question the first answer that was given."""
    found: dict[str, RecordedAnswer] = {}
    for answer in sorted(evidence.answers.values(), key=lambda one: (one.time, one.answer_id)):
        found.setdefault(key(answer.question), answer)
    return found


def _judged(evidence: Evidence) -> Iterator[tuple[RecordedAnswer, Opinion]]:
    for answer_id, thought in sorted(evidence.of_answers.items()):
        answer = evidence.answers[answer_id]
        if _is_whole(answer):
            yield answer, thought


def _is_whole(answer: RecordedAnswer) -> bool:
    """Nothing was erased of it, and it was not cut off."""
    return bool(
        not answer.erased
        and answer.finished
        and answer.question.strip()
        and answer.completion.strip()
        and answer.messages
    )


def _messages(answer: RecordedAnswer) -> list[dict[str, str]]:
    return [{"role": one.role, "content": one.content} for one in answer.messages]


def _choice(answer: RecordedAnswer, chosen: str, rejected: str) -> dict[str, Any]:
    return {"messages": _messages(answer), "chosen": chosen, "rejected": rejected}


def _thought(
    evidence: Evidence,
    answer: RecordedAnswer,
    thought: Opinion,
    content: Mapping[str, Any],
    taught: tuple[str, ...],
) -> Row:
    return Row(
        form=evidence.settings.form,
        question=answer.question,
        content=content,
        taught=taught,
        sources=tuple(sorted(sources_of(answer) | set(thought.sources))),
        language=answer.language,
        slices=slices_of(answer, evidence.settings.slices),
        accounts=thought.accounts,
        subjects=_subjects(answer),
        metric=thought.metric,
        time=thought.time,
    )


def _corrected(
    evidence: Evidence,
    answer: RecordedAnswer,
    said: Correction,
    content: Mapping[str, Any],
    taught: tuple[str, ...],
) -> Row:
    return Row(
        form=evidence.settings.form,
        question=answer.question,
        content=content,
        taught=taught,
        sources=tuple(sorted({*sources_of(answer), said.source})),
        language=answer.language,
        slices=slices_of(answer, evidence.settings.slices),
        author=said.account,
        accounts=(said.account,),
        subjects=_subjects(answer),
        metric="correction",
        time=said.time,
    )


def _joined(row: Row, other: RecordedAnswer, thought: Opinion) -> Row:
    """The row with the sources and accounts of a second answer."""
    return replace(
        row,
        sources=tuple(sorted({*row.sources, *sources_of(other), *thought.sources})),
        accounts=tuple(sorted({*row.accounts, *thought.accounts})),
        time=min(row.time, thought.time),
    )


def _subjects(answer: RecordedAnswer) -> dict[str, str]:
    """As features name them; what is empty has none."""
    model = f"{answer.model}/{answer.model_version}" if answer.model else ""
    named = {"prompt": answer.prompt, "model": model}
    return {kind: name for kind, name in named.items() if name}


_FORMS: Mapping[str, Callable[[Evidence], Iterator[Row]]] = {
    DEMONSTRATIONS: _demonstrations,
    PREFERENCES: _preferences,
    THUMBS: _thumbs,
    TEXTS: _texts,
    PAIRS: _pairs,
}
