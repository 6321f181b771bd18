"""Examples: a question and what is known about its answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gyre_evaluation.domain.errors import RequestInvalid
from gyre_evaluation.domain.metrics.case import Evidence
from gyre_evaluation.domain.originals import Original, original_from

MOST_QUESTION = 4096
MOST_SLICES = 16
MOST_REFERENCES = 32
MOST_PASSAGES = 64
MOST_TEXT = 64_000


@dataclass(frozen=True, slots=True)
class Example:
    """split: empty where the service splits. group: examples of one group share a split; empty
    means alone. recorded_answer: given before, for targets that only score. original: how it was
    given; None where only its text is known."""

    question: str
    references: tuple[str, ...] = ()
    passages: tuple[Evidence, ...] = ()
    relevant_ids: tuple[str, ...] = ()
    unanswerable: bool = False
    recorded_answer: str = ""
    language: str = ""
    slices: Mapping[str, str] = field(default_factory=dict)
    split: str = ""
    group: str = ""
    origin: str = ""
    ratings: Mapping[str, float] = field(default_factory=dict)
    original: Original | None = None

    def __post_init__(self) -> None:
        if violations := dict(_violations(self)):
            raise RequestInvalid(violations)

    @property
    def example_id(self) -> str:
        """The same question, passages, references and recorded answer are the same example."""
        said = (
            self.question,
            self.references,
            [one.text for one in self.passages],
            sorted(self.relevant_ids),
            self.unanswerable,
            self.recorded_answer,
        )
        given = self.original and (self.original.arguments or self.original.messages)
        return digest((*said, given) if given else said)[:32]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def example_from(given: Mapping[str, Any]) -> Example:
    """From `as_json`, or from a line that a person wrote. Raises `RequestInvalid`."""
    fields = {key: value for key, value in given.items() if key != "example_id"}
    unknown = fields.keys() - Example.__dataclass_fields__.keys()
    if unknown:
        raise RequestInvalid(dict.fromkeys(sorted(unknown), "no field of an example"))
    fields["passages"] = tuple(Evidence(**one) for one in given.get("passages", ()))
    if given.get("original"):
        fields["original"] = original_from(given["original"])
    for name in ("references", "relevant_ids"):
        fields[name] = tuple(given.get(name, ()))
    return Example(**fields)


def digest(value: Any) -> str:
    """SHA-256 of the value's canonical JSON."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _violations(example: Example) -> list[tuple[str, str]]:
    found = []
    if not 1 <= len(example.question) <= MOST_QUESTION or not example.question.strip():
        found.append(("question", f"give 1 to {MOST_QUESTION} characters, not only blanks"))
    counts = {
        "references": (len(example.references), MOST_REFERENCES),
        "passages": (len(example.passages), MOST_PASSAGES),
        "slices": (len(example.slices), MOST_SLICES),
    }
    found += [
        (name, f"give at most {most}") for name, (count, most) in counts.items() if count > most
    ]
    texts = (*example.references, example.recorded_answer, *(one.text for one in example.passages))
    if any(len(text) > MOST_TEXT for text in texts):
        found.append(("references", f"a text has more than {MOST_TEXT} characters"))
    return found
