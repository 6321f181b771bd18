"""A live answer: what was asked and said, what it is grouped by, and whether it is scored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gyre_evaluation.domain.drift.traffic import Traffic
from gyre_evaluation.domain.windows import Traits, versioned


class Outcome(StrEnum):
    """How a request ended."""

    ANSWERED = "answered"
    REFUSED = "refused"
    FAILED = "failed"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class LiveAnswer:
    """instructions: the system message as the model saw it. retrieval_score: of the best passage;
    None where nothing was retrieved. passages: texts that the answer was given; sentences where
    only these are known. citations: (number in the text, sentence cited)."""

    answer_id: str
    tenant: str
    principal: str
    time: datetime
    question: str
    completion: str = ""
    outcome: Outcome = Outcome.ANSWERED
    end_user: str = ""
    workload: str = "answer"
    collection: str = ""
    language: str = ""
    instructions: str = ""
    passages: tuple[str, ...] = ()
    chunk_ids: tuple[str, ...] = ()
    citations: tuple[tuple[int, str], ...] = ()
    retrieval_score: float | None = None
    output_tokens: int = 0
    seconds: float = 0.0
    prompt_name: str = ""
    prompt_version: str = ""
    model: str = ""
    model_version: str = ""
    variant: str = ""
    experiment: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def traffic(self) -> Traffic:
        """What it is compared with."""
        scope = f"collection={self.collection}" if self.collection else f"workload={self.workload}"
        return Traffic(self.tenant, scope)


def sampled(answer_id: str, share: float) -> bool:
    """Whether this answer is scored: the same answer always or never, `share` of all."""
    mark = hashlib.sha256(answer_id.encode()).digest()[:8]
    return int.from_bytes(mark) < share * 2**64


def traits_of(answer: LiveAnswer, language: str, keys: frozenset[str]) -> Traits:
    """keys: labels of the client that answers are sliced by; others make no groups."""
    slices = {key: value for key, value in answer.labels.items() if key in keys}
    return Traits(
        prompt=versioned(answer.prompt_name, answer.prompt_version),
        model=versioned(answer.model, answer.model_version[:12]),
        variant=versioned(answer.experiment, answer.variant),
        slices=slices | {"collection": answer.collection, "language": language},
    )


def facts(answer: LiveAnswer) -> dict[str, float]:
    """Numbers that are compared over time without any metric."""
    known = {
        "question_characters": float(len(answer.question)),
        "question_words": float(len(answer.question.split())),
    }
    if answer.retrieval_score is not None:
        known["retrieval_score"] = answer.retrieval_score
    if answer.outcome is Outcome.ANSWERED:
        known["output_tokens"] = float(answer.output_tokens)
        known["citations"] = float(len(answer.citations))
    return known
