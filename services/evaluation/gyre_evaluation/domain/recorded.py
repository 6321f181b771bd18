"""Recorded answers, and which of them become examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gyre_evaluation.domain.examples import Example
from gyre_evaluation.domain.metrics.case import Cited
from gyre_evaluation.domain.originals import Original


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """An answer as it was given; chunk_ids: of the passages found, in rank order. The others are
    as in `Original`."""

    answer_id: str
    time: datetime
    question: str
    completion: str
    refused: bool = False
    collection: str = ""
    prompt_name: str = ""
    prompt_version: str = ""
    model: str = ""
    language: str = ""
    workload: str = ""
    conversation_id: str = ""
    chunk_ids: tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)
    messages: tuple[tuple[str, str], ...] = ()
    citations: tuple[Cited, ...] = ()
    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def original(self) -> Original:
        """What a replay needs."""
        return Original(**{name: getattr(self, name) for name in Original.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class AnswerFilter:
    """Empty and None mean any. start is included, end is not."""

    collection: str = ""
    prompt_name: str = ""
    prompt_version: str = ""
    model: str = ""
    language: str = ""
    start: datetime | None = None
    end: datetime | None = None
    refused: bool | None = None
    limit: int = 1000


def example_of(answer: RecordedAnswer) -> Example:
    """Without a reference: what was answered is what is to be judged."""
    return Example(
        question=answer.question,
        recorded_answer=answer.completion,
        language=answer.language,
        slices={
            name: value
            for name, value in {
                "collection": answer.collection,
                "prompt": "@".join(filter(None, (answer.prompt_name, answer.prompt_version))),
                "model": answer.model,
                "language": answer.language,
            }.items()
            if value
        },
        group=answer.conversation_id,
        origin=answer.answer_id,
        original=answer.original,
    )
