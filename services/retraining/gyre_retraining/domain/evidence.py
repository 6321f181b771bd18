"""Sources put together for the forms: what was asked, shown, answered, and thought of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from gyre_retraining.domain.assembly import AssemblySettings
from gyre_retraining.domain.opinions import Opinion, Vote, opinion
from gyre_retraining.domain.rows import Source
from gyre_retraining.domain.similarity import key
from gyre_retraining.domain.sources import ChunkText, RecordedAnswer

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class Correction:
    """What an answer should have been."""

    answer_id: str
    text: str
    account: str
    source: Source
    time: float


@dataclass(frozen=True)
class Evidence:
    """What is left of a snapshot once the filters of sources are through."""

    settings: AssemblySettings
    answers: Mapping[str, RecordedAnswer]
    chunks: Mapping[str, ChunkText]
    votes: Sequence[Vote]
    corrections: Sequence[Correction]

    @cached_property
    def of_answers(self) -> Mapping[str, Opinion]:
        """By answer."""
        return _opinions((one.answer_id, one) for one in self.votes if not one.chunk_id)

    @cached_property
    def of_passages(self) -> Mapping[tuple[str, str], Opinion]:
        """By question and passage, over all answers to the question."""
        return _opinions(
            ((key(self.answers[one.answer_id].question), one.chunk_id), one)
            for one in self.votes
            if one.chunk_id and self.answers[one.answer_id].question
        )

    def text_of(self, chunk_id: str, answer: RecordedAnswer | None = None) -> str:
        """Empty where it is not known."""
        known = self.chunks.get(chunk_id)
        if known is not None:
            return known.text
        shown = answer.passages if answer is not None else ()
        return next((one.text for one in shown if one.chunk_id == chunk_id), "")

    @cached_property
    def current_chunks(self) -> Mapping[str, ChunkText]:
        """Passages with text of each document's newest revision."""
        newest: dict[str, int] = {}
        for one in self.chunks.values():
            newest[one.document_id] = max(one.revision, newest.get(one.document_id, 0))
        return {
            name: one
            for name, one in self.chunks.items()
            if one.text and one.revision == newest[one.document_id]
        }


def sources_of(answer: RecordedAnswer) -> set[Source]:
    """The answer, whose it was, and all that it was shown."""
    found = {("answer", answer.answer_id)}
    if answer.end_user:
        found.add(("user", answer.end_user))
    for one in answer.passages:
        found |= {("chunk", one.chunk_id), ("document", one.document_id)}
    return {(kind, name) for kind, name in found if name}


def slices_of(answer: RecordedAnswer, names: Sequence[str]) -> dict[str, str]:
    """Values of the named slices; what is no property is a key of the metadata."""
    known = {
        "language": answer.language,
        "workload": answer.workload,
        "collection": answer.collection,
        "model": answer.model,
        "prompt": answer.prompt,
    }
    return {name: known.get(name, answer.metadata.get(name, "")) for name in names}


def _opinions(votes: Iterable[tuple[Thing, Vote]]) -> dict[Thing, Opinion]:
    by_thing: dict[Thing, list[Vote]] = defaultdict(list)
    for thing, vote in votes:
        by_thing[thing].append(vote)
    return {thing: opinion(given) for thing, given in by_thing.items()}
