"""What a judgement needs to know of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class JudgedAnswer:
    """None of the answer's text. chunks: passage -> document, in rank order."""

    answer_id: str
    chain_run_id: str = ""
    step_ids: tuple[str, ...] = ()
    prompt_name: str = ""
    prompt_version: str = ""
    model: str = ""
    model_version: str = ""
    variant: str = ""
    experiment: str = ""
    collection: str = ""
    end_user: str = ""
    principal: str = ""
    workload: str = ""
    language: str = ""
    segment: str = ""
    chunks: Mapping[str, str] = field(default_factory=dict)
    request_time: datetime | None = None
    failed: bool = False

    @property
    def chunk_ids(self) -> tuple[str, ...]:
        return tuple(self.chunks)

    @property
    def prompt(self) -> str:
        return f"{self.prompt_name}/{self.prompt_version}" if self.prompt_name else ""


@dataclass(frozen=True)
class AnswerCame:
    """An answer, with its text for reviewers."""

    answer: JudgedAnswer
    question: str
    text: str

    @property
    def places(self) -> tuple[str, ...]:
        """Where judgements may wait for it, in the order in which they are locked."""
        named = {self.answer.answer_id, self.answer.chain_run_id}
        return tuple(sorted(one for one in named if one))
