"""The few sentences that an answer may stand on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from gyre_inference.domain.faults import InvalidRequest
from gyre_inference.domain.passages import Passage, Sentence, one_line
from gyre_inference.domain.refusals import refusal

_MOST = 64


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


def arguments_in(recorded: Mapping[str, str]) -> dict[str, object]:
    """Of an answer's record, where values are JSON. Raises `InvalidRequest`."""
    try:
        return {name: json.loads(text) for name, text in recorded.items()}
    except ValueError:
        raise InvalidRequest({"prompt_arguments": "values must be JSON"}) from None


def grounds_of(arguments: Mapping[str, object]) -> Grounds:
    """What `Grounds.arguments` told, as it was recorded; of the documents only titles and headings
    are known. Raises `InvalidRequest`."""
    told = arguments.get("sentences")
    if not isinstance(told, list) or not 1 <= len(told) <= _MOST:
        raise InvalidRequest({"prompt_arguments": f"`sentences` must be a list of 1 to {_MOST}"})
    sentences = tuple(_sentence(place, one) for place, one in enumerate(told))
    return Grounds(sentences, supported=True, language=str(arguments.get("language") or "en"))


def _sentence(place: int, told: object) -> Sentence:
    if not isinstance(told, Mapping) or not str(told.get("text") or "").strip():
        raise InvalidRequest({"prompt_arguments": "each of `sentences` needs a text"})
    text, heading = str(told["text"]), str(told.get("heading") or "")
    passage = Passage(
        chunk_id="",
        document_id="",
        revision=0,
        ordinal=place,
        text=text,
        spans=((0, len(text)),),
        title=str(told.get("title") or ""),
        heading_path=(heading,) if heading else (),
    )
    return Sentence(passage, 0, len(text))
