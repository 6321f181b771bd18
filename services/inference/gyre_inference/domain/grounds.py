"""The few sentences that an answer may stand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gyre_inference.domain.passages import Sentence, one_line
from gyre_inference.domain.refusals import refusal


@dataclass(frozen=True)
class Grounds:
    """Sentence n is the n-th, counted from 1. supported: whether they can answer at all."""

    sentences: tuple[Sentence, ...]
    supported: bool
    language: str
    verdicts: Mapping[str, str] = field(default_factory=dict)

    @property
    def refusal(self) -> str:
        """What is said where they do not answer, in the question's language."""
        return refusal(self.language)

    def arguments(self, question: str) -> dict[str, object]:
        """What prompts are rendered with: data on single lines, plain JSON types."""
        return {
            "question": one_line(question),
            "language": self.language,
            "sentences": [
                {
                    "number": number,
                    "text": sentence.line,
                    "title": one_line(sentence.passage.title),
                    "heading": one_line(" > ".join(sentence.passage.heading_path)),
                }
                for number, sentence in enumerate(self.sentences, start=1)
            ],
        }
